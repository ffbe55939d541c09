import { MemoryStore } from 'nestjs-ratelimit';
import { golden, play } from '../support/timelines.js';

describe('golden timelines on the memory store', () => {
  test.each(golden.timelines.map((timeline) => [timeline.name, timeline] as const))(
    '%s',
    async (_name, timeline) => {
      const { answered, expected } = await play(timeline, (clock) => new MemoryStore({ clock }));
      expect(answered).toEqual(expected);
    },
  );
});
