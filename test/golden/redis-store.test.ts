import { RedisStore } from 'nestjs-ratelimit/redis';
import type { TestClock } from 'nestjs-ratelimit/testing';
import { type RedisServer, startRedis } from '../support/redis.js';
import { golden, play } from '../support/timelines.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

describe('golden timelines on the Redis store', () => {
  test.each(golden.timelines.map((timeline) => [timeline.name, timeline] as const))(
    '%s',
    async (name, timeline) => {
      const prefix = name.replace(/\W/g, '-');
      const make = (clock: TestClock) => new RedisStore({ url: redis.url, prefix, clock });
      const { answered, expected } = await play(timeline, make);
      expect(answered).toEqual(expected);
    },
  );
});
