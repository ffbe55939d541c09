import type { BreakerEvent, RateLimitEventHandler, RateLimitEventName } from 'nestjs-ratelimit';
import { RateLimitEvents } from '../../../lib/observe/events.js';
import { turn } from '../../support/held-store.js';

const OPEN: BreakerEvent = { shard: '', state: 'open', cause: new Error('down') };
const CLOSED: BreakerEvent = { shard: '', state: 'closed', cause: undefined };
const BROKEN = new Error('handler is broken');

const setUp = () => {
  const failures: [RateLimitEventName, unknown][] = [];
  const events = new RateLimitEvents((name, error) => failures.push([name, error]));
  /** Who heard what, in order. */
  const heard: string[] = [];
  const hear =
    (who: string): RateLimitEventHandler<'breaker'> =>
    ({ state }) =>
      void heard.push(`${who} ${state}`);
  const broken = (): never => {
    throw BROKEN;
  };
  return { events, failures, heard, hear, broken };
};

describe('events', () => {
  test('are told to the handlers of their name, in order, as they are', () => {
    const { events, heard, hear } = setUp();
    const given: unknown[] = [];
    events
      .on('breaker', hear('first'))
      .on('breaker', (event) => given.push(event))
      .on('recovered', (event) => given.push(event))
      .on('breaker', hear('last'));
    events.emit('breaker', OPEN);
    expect([heard, given]).toEqual([['first open', 'last open'], [OPEN]]);
    expect(given[0]).toBe(OPEN);
    events.emit('recovered', { afterMs: 10, degraded: 2 });
    expect(given[1]).toEqual({ afterMs: 10, degraded: 2 });
  });

  test('that nobody hears are lost', () => {
    const { events, failures } = setUp();
    events.emit('breaker', OPEN);
    expect(failures).toEqual([]);
  });

  test('are told no more to a handler that was taken off, and still to the others', () => {
    const { events, heard, hear } = setUp();
    const [second, both] = [hear('second'), () => void heard.push('both')];
    events.on('breaker', hear('first')).on('breaker', second).on('breaker', both).on('recovered', both);
    events.off('breaker', second);
    events.off('breaker', hear('nobody'));
    events.off('recovered', both);
    events.emit('breaker', OPEN);
    events.emit('recovered', { afterMs: 1, degraded: 1 });
    expect(heard).toEqual(['first open', 'both']);
  });

  test('are told once even if the handler makes another', () => {
    const { events, heard } = setUp();
    events.once('breaker', ({ state }) => {
      heard.push(state);
      events.emit('breaker', CLOSED);
    });
    events.emit('breaker', OPEN);
    expect(heard).toEqual(['open']);
  });

  test('are not told to a handler that asked for one and was taken off before', () => {
    const { events, heard, hear } = setUp();
    const once = hear('once');
    events.once('breaker', once).off('breaker', once);
    events.emit('breaker', OPEN);
    expect([heard, events.hasListeners('breaker')]).toEqual([[], false]);
  });

  test('know whether anybody hears them', () => {
    const { events, hear } = setUp();
    const handler = hear('one');
    expect(events.hasListeners('breaker')).toBe(false);
    events.on('breaker', handler);
    expect([events.hasListeners('breaker'), events.hasListeners('degraded')]).toEqual([true, false]);
    events.off('breaker', handler);
    expect(events.hasListeners('breaker')).toBe(false);
    events.once('breaker', handler);
    expect(events.hasListeners('breaker')).toBe(true);
    events.emit('breaker', OPEN);
    expect(events.hasListeners('breaker')).toBe(false);
  });
});

describe('a handler', () => {
  test('that throws stops neither the others nor who tells, and is reported', () => {
    const { events, failures, heard, hear, broken } = setUp();
    events.on('breaker', hear('first')).on('breaker', broken).on('breaker', hear('last'));
    expect(() => events.emit('breaker', OPEN)).not.toThrow();
    events.emit('breaker', CLOSED);
    expect(heard).toEqual(['first open', 'last open', 'first closed', 'last closed']);
    expect(failures).toEqual([
      ['breaker', BROKEN],
      ['breaker', BROKEN],
    ]);
  });

  test('that fails later is reported, and does not end the process', async () => {
    const { events, failures, heard, hear } = setUp();
    // As TypeScript lets a handler be that returns nothing. Unheard, its error would fail this test.
    events.on('breaker', async () => {
      throw BROKEN;
    });
    events.on('breaker', hear('last'));
    events.emit('breaker', OPEN);
    await turn();
    expect([heard, failures]).toEqual([['last open'], [['breaker', BROKEN]]]);
  });

  test('may take itself off while it is told', () => {
    const { events, heard, hear } = setUp();
    const self: RateLimitEventHandler<'breaker'> = ({ state }) => {
      heard.push(`self ${state}`);
      events.off('breaker', self);
    };
    events.on('breaker', hear('first')).on('breaker', self).on('breaker', hear('last'));
    events.emit('breaker', OPEN);
    events.emit('breaker', CLOSED);
    expect(heard).toEqual(['first open', 'self open', 'last open', 'first closed', 'last closed']);
  });

  test('may add another while it is told, which hears of the next', () => {
    const { events, heard, hear } = setUp();
    events.once('breaker', () => void events.on('breaker', hear('added')));
    events.on('breaker', hear('last'));
    events.emit('breaker', OPEN);
    events.emit('breaker', CLOSED);
    expect(heard).toEqual(['last open', 'last closed', 'added closed']);
  });
});
