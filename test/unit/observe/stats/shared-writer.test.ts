import { TestClock } from 'nestjs-ratelimit/testing';
import { mergeHour, sumRequests } from '../../../../lib/observe/stats/snapshot.js';
import { RateLimitStats } from '../../../../lib/observe/stats/stats.js';
import {
  type CountBatch,
  emptyHour,
  type HourCounts,
  type SharedCounters,
  type SharedCounts,
} from '../../../../lib/store/shared-counters.js';
import { turn } from '../../../support/held-store.js';
import { ALLOWED, DENIED } from '../../../support/outcomes.js';

/** Shared counts as a store keeps them, which a test can take away. */
class HeldCounters implements SharedCounters {
  readonly hours = new Map<number, HourCounts>();
  readonly clients = new Map<number, Set<string>>();
  readonly applied = new Map<string, number>();
  readonly written: CountBatch[] = [];
  /** What becomes of writes; `unanswered` ones take hold all the same. */
  mode: 'works' | 'away' | 'unanswered' | 'silent' = 'works';
  reads = 0;
  /** An hour on a node that is away. */
  lost: number | null = null;

  async add(batch: CountBatch): Promise<void> {
    this.written.push(batch);
    if (batch.counts.hour === this.lost) throw new Error('node is away');
    if (this.mode === 'silent') await new Promise(() => undefined);
    if (this.mode === 'away') throw new Error('away');
    const { writer, sequence, counts, clients } = batch;
    this.clients.set(counts.hour, new Set([...(this.clients.get(counts.hour) ?? []), ...clients]));
    const name = `${writer} ${counts.hour}`;
    if (sequence > (this.applied.get(name) ?? 0)) {
      this.applied.set(name, sequence);
      const hour = this.hours.get(counts.hour) ?? emptyHour(counts.hour);
      this.hours.set(counts.hour, hour);
      mergeHour(hour, counts);
    }
    if (this.mode === 'unanswered') throw new Error('connection lost');
  }

  async read(hour: number, writer: string): Promise<SharedCounts> {
    this.reads++;
    if (this.mode === 'silent') await new Promise(() => undefined);
    if (this.mode === 'away') throw new Error('away');
    const counts = emptyHour(hour);
    const kept = this.hours.get(hour);
    if (kept !== undefined) mergeHour(counts, kept);
    const uniqueClients = this.clients.get(hour)?.size ?? 0;
    return { counts, uniqueClients, applied: this.applied.get(`${writer} ${hour}`) ?? 0 };
  }

  get requests(): number {
    let sum = 0;
    for (const hour of this.hours.values()) sum += sumRequests(hour).allowed + sumRequests(hour).denied;
    return sum;
  }
}

function setUp(keepHours = 168) {
  const clock = new TestClock(Date.UTC(2026, 0, 1, 12, 30));
  const shared = new HeldCounters();
  const reports: string[] = [];
  const one = () => {
    const report = (source: string, message: string) => void reports.push(`${source}: ${message}`);
    const stats = new RateLimitStats({ clock, shared, report, keepHours });
    const route = 'GET /';
    const record = (times = 1) => {
      for (let i = 0; i < times; i++)
        stats.record(route, i % 2 ? DENIED : ALLOWED, `203.0.113.${i}`, 'user:42');
    };
    return { stats, record };
  };
  /** Turns the clock, and lets writes come to their end after each second. */
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      clock.advance('1s');
      await turn();
    }
  };
  return { clock, shared, reports, one, pass, ...one() };
}

const AWAY = 'statistics: The store takes no counts. They are kept and written later.';

describe('writes', () => {
  test('are made once a second, and none when there is nothing to write', async () => {
    const { shared, record, pass } = setUp();
    await pass(5);
    expect(shared.written).toHaveLength(0);
    record(10);
    expect(shared.written).toHaveLength(0);
    await pass(1);
    expect([shared.written.length, shared.requests]).toEqual([1, 10]);
    record(3);
    await pass(10);
    expect([shared.written.length, shared.requests]).toEqual([2, 13]);
  });

  test('of two processes add up, and each reads what both have counted', async () => {
    const { one, stats, record, pass } = setUp();
    const other = one();
    record(10);
    other.record(5);
    await pass(1);
    // Not written as yet.
    record(2);
    expect((await stats.snapshot()).currentHour).toMatchObject({ total: 17, denied: 8 });
    expect((await other.stats.snapshot()).currentHour).toMatchObject({ total: 15, denied: 7 });
    await pass(1);
    expect((await other.stats.snapshot()).currentHour).toMatchObject({ total: 17, uniqueClients: 10 });
    expect((await other.stats.snapshot()).byUser).toEqual([{ user: 'user:42', total: 17, denied: 8 }]);
  });

  test('are seen by others in hours that are over, within a minute where they came late', async () => {
    const { clock, shared, one, stats, record, pass } = setUp();
    const other = one();
    const total = async () => {
      const { hours } = await stats.snapshot({ hours: 2 });
      return hours[0]?.total;
    };
    record(3);
    shared.mode = 'away';
    other.record(2);
    await pass(1);
    shared.mode = 'works';
    await stats.close();
    shared.lost = Math.floor(clock.now() / 3_600_000);
    clock.advance('1h');
    expect([await total(), shared.reads]).toEqual([3, 2]);
    // The hour that is over is not asked for again.
    expect([await total(), shared.reads]).toEqual([3, 3]);
    shared.lost = null;
    await pass(30);
    expect([shared.requests, await total()]).toEqual([5, 3]);
    await pass(30);
    expect(await total()).toBe(5);
  });

  test('of a week are read once a minute by who looks on', async () => {
    const { clock, shared, stats } = setUp();
    const read = async () => {
      shared.reads = 0;
      await stats.snapshot({ hours: 168 });
      return shared.reads;
    };
    expect(await read()).toBe(168);
    // The one under way alone.
    expect(await read()).toBe(1);
    clock.advance('1min');
    expect(await read()).toBe(168);
  });

  test('bring clients that a snapshot of this process has already', async () => {
    const { one, stats, record, pass } = setUp();
    const other = one();
    const seen = async ({ stats }: typeof other) => (await stats.snapshot()).currentHour.uniqueClients;
    record(10);
    expect([await seen({ stats, record }), await seen(other)]).toEqual([10, 0]);
    await pass(1);
    expect([await seen({ stats, record }), await seen(other)]).toEqual([10, 10]);
  });

  test('carry only what is new', async () => {
    const { shared, record, pass } = setUp();
    record(10);
    await pass(1);
    record(10);
    await pass(1);
    const [, second] = shared.written;
    expect(second?.clients).toEqual([]);
    expect(second?.counts.users).toEqual(
      new Map([['user:42', { allowed: 5, denied: 5, shadowDenied: 0, degraded: 0 }]]),
    );
  });

  test('of the hour before come ahead of those of the new one', async () => {
    const { clock, shared, record, pass } = setUp();
    record(4);
    clock.set(clock.now() + 3_600_000);
    record(2);
    await pass(3);
    expect(shared.written.map(({ counts }) => sumRequests(counts).allowed)).toEqual([2, 1]);
    expect([...shared.hours.keys()]).toHaveLength(2);
  });
});

describe('a store that is away', () => {
  test('is reported once, and is told everything when it is back', async () => {
    const { shared, reports, stats, record, pass } = setUp();
    record(4);
    shared.mode = 'away';
    for (let i = 0; i < 10; i++) {
      record(2);
      await pass(1);
    }
    expect(reports).toEqual([AWAY]);
    const away = await stats.snapshot();
    expect([away.isComplete, away.currentHour.total]).toEqual([false, 24]);
    shared.mode = 'works';
    await pass(3);
    expect([shared.requests, reports.length]).toEqual([24, 1]);
    expect(await stats.snapshot()).toMatchObject({ isComplete: true, currentHour: { total: 24 } });
  });

  test('is told of every client when it is back, once', async () => {
    const { clock, shared, record, pass } = setUp();
    shared.mode = 'away';
    for (let count = 10; count <= 100; count += 10) {
      record(count);
      await pass(1);
    }
    shared.mode = 'works';
    shared.written.length = 0;
    await pass(3);
    expect(shared.clients.get(Math.floor(clock.now() / 3_600_000))?.size).toBe(100);
    expect(shared.written.flatMap(({ clients }) => clients).length).toBe(100);
  });

  test('gets nothing more once all is written', async () => {
    const { shared, record, pass } = setUp();
    shared.mode = 'away';
    record();
    await pass(3);
    expect(shared.written).toHaveLength(3);
    shared.mode = 'works';
    await pass(10);
    expect(shared.written).toHaveLength(4);
  });

  test('for one hour, as a node of a Cluster may be, holds up no other', async () => {
    const { clock, shared, reports, stats, record, pass } = setUp();
    shared.lost = Math.floor(clock.now() / 3_600_000);
    record(4);
    await pass(2);
    clock.advance('1h');
    for (let i = 0; i < 4; i++) {
      record(2);
      await pass(1);
    }
    await pass(1);
    expect([shared.requests, reports]).toEqual([8, [AWAY]]);
    shared.lost = null;
    await stats.close();
    expect([shared.requests, reports]).toEqual([12, [AWAY]]);
  });

  test('counts nothing twice when only its answer was lost', async () => {
    const { shared, stats, record, pass } = setUp();
    shared.mode = 'unanswered';
    record(4);
    await pass(1);
    record(3);
    expect((await stats.snapshot()).currentHour.total).toBe(7);
    await pass(2);
    shared.mode = 'works';
    await pass(3);
    expect(shared.requests).toBe(7);
    expect((await stats.snapshot()).currentHour.total).toBe(7);
  });

  test('loses what is older than statistics are kept, and says how much', async () => {
    const { clock, shared, reports, stats, record, pass } = setUp(2);
    shared.mode = 'away';
    record(5);
    await pass(1);
    clock.advance('2h');
    record(1);
    expect(reports).toEqual([
      AWAY,
      'statistics: The counts of 5 requests are lost, since the store failed for as long as statistics are kept.',
    ]);
    shared.mode = 'works';
    await pass(2);
    expect([shared.requests, (await stats.snapshot()).currentHour.total]).toEqual([1, 1]);
  });

  test('that is silent keeps readers for a second, and is not asked again before it has answered', async () => {
    const { clock, shared, stats, record } = setUp();
    record(3);
    shared.mode = 'silent';
    const reading = stats.snapshot({ hours: 2 });
    await turn();
    clock.advance('1s');
    expect(await reading).toMatchObject({ isComplete: false, currentHour: { total: 3 } });
    shared.mode = 'works';
    expect((await stats.snapshot({ hours: 2 })).isComplete).toBe(false);
    expect(shared.reads).toBe(2);
  });
});

describe('closing', () => {
  test('writes what is left, and stops', async () => {
    const { clock, shared, reports, stats, record, pass } = setUp();
    record(4);
    clock.set(clock.now() + 3_600_000);
    record(2);
    await stats.close();
    await stats.close();
    expect([shared.requests, shared.written.length, reports]).toEqual([6, 2, []]);
    record(5);
    await pass(5);
    expect(shared.written).toHaveLength(2);
  });

  test('tries once more a store that was away', async () => {
    const { shared, stats, record, pass } = setUp();
    shared.mode = 'away';
    record(4);
    await pass(2);
    shared.mode = 'works';
    await stats.close();
    expect(shared.requests).toBe(4);
  });

  test.each(['away', 'silent'] as const)('says what is lost when the store is %s', async (mode) => {
    const { clock, shared, reports, stats, record, pass } = setUp();
    shared.mode = mode;
    record(4);
    await pass(2);
    const closing = stats.close();
    await turn();
    clock.advance('1s');
    await closing;
    expect(reports).toEqual([
      ...(mode === 'away' ? [AWAY] : []),
      'statistics: The counts of 4 requests are lost, since the store did not take them before the process ended.',
    ]);
  });
});
