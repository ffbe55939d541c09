import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { Charge, Decision } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { ALGORITHM_NAMES } from '../../lib/core/algorithms/index.js';
import { definePolicy, type Policy } from '../../lib/core/policy.js';
import { MemoryStore } from '../../lib/store/memory/memory-store.js';
import { policies } from '../support/arbitraries.js';
import { startRedis } from '../support/redis.js';
import { runs } from '../support/runs.js';

/** One connection for all runs, each with keys of its own: to connect takes as long as to play a script. */
let client: Redis;
beforeAll(async () => {
  const { port } = await startRedis();
  client = new Redis(port, '127.0.0.1', { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 });
});
afterAll(() => client.disconnect());

/** What a request may ask of one of its limits. */
interface Ask {
  readonly limit: number;
  /** Whether the limit is half of what it is at other times, as one may be that a function gives. */
  readonly isLowered: boolean;
  readonly identity: string;
  readonly cost: number;
  readonly shadow: boolean;
  readonly blockDurationsMs: readonly number[];
}

type Action =
  | { readonly do: 'consume' | 'peek'; readonly gap: number; readonly asks: readonly Ask[] }
  | { readonly do: 'flood'; readonly gap: number; readonly limit: number; readonly everyMs: number }
  | { readonly do: 'refund'; readonly gap: number; readonly which: number }
  | { readonly do: 'block' | 'unblock' | 'reset'; readonly gap: number; readonly identity: string };

const LIMITS = 3;
const identities = fc.constantFrom('user:1', 'ip:203.0.113.7', 'global');

const asks: fc.Arbitrary<Ask> = fc.record({
  limit: fc.integer({ min: 0, max: LIMITS - 1 }),
  isLowered: fc.oneof(
    { weight: 5, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
  identity: identities,
  cost: fc.oneof(
    { weight: 6, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constant(0) },
    { weight: 2, arbitrary: fc.integer({ min: 2, max: 60 }) },
  ),
  shadow: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  blockDurationsMs: fc.oneof(
    { weight: 5, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.constantFrom([1], [5_000], [1, 5_000, 60_000]) },
  ),
});

/** As a share of the first limit's window. Never back: what has ended by then, a store may forget or keep. */
const gaps = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 5, arbitrary: fc.double({ min: 0, max: 0.1, noNaN: true }) },
  { weight: 1, arbitrary: fc.double({ min: 0, max: 2, noNaN: true }) },
);

const requests = fc.uniqueArray(asks, {
  minLength: 1,
  maxLength: LIMITS,
  selector: ({ limit, identity }) => `${limit} ${identity}`,
});

/** Enough charges of one unit for a sliding window to merge entries. */
const FLOOD = 120;

const actions: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('flood' as const),
      gap: gaps,
      limit: fc.integer({ min: 0, max: LIMITS - 1 }),
      everyMs: fc.constantFrom(1, 7, 450, 9_000),
    }),
  },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('consume' as const), gap: gaps, asks: requests }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('peek' as const), gap: gaps, asks: requests }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('refund' as const), gap: gaps, which: fc.nat({ max: 100 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('block' as const, 'unblock' as const, 'reset' as const),
      gap: gaps,
      identity: identities,
    }),
  },
);

const seen = ({ name, allowed, limit, remaining, resetAfterMs, retryAfterMs, atMs, receipt }: Decision) => [
  name,
  allowed,
  limit,
  remaining,
  resetAfterMs,
  retryAfterMs,
  atMs,
  receipt === null,
];

/** The same bucket under half of the limit. */
const lowered = ({ name, scope, algorithm, limit, windowMs }: Policy): Policy =>
  definePolicy({ name, scope, algorithm, rate: { limit: Math.ceil(limit / 2), windowMs } });

let stores = 0;

test('A27 memory and Redis agree decision by decision, whatever is asked and whenever', async () => {
  const limits = fc.tuple(
    ...Array.from({ length: LIMITS }, (_, at) =>
      fc.constantFrom(...ALGORITHM_NAMES).chain((algorithm) => policies(algorithm, `limit-${at}`)),
    ),
  );
  const script = fc.array(actions, { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(limits, script, async (given, steps) => {
      const halves = given.map(lowered);
      const clock = new TestClock();
      const memory = new MemoryStore({ clock });
      const shared = new RedisStore(client, { prefix: `store-${stores++}`, clock });
      const charged: (readonly [Decision, Decision])[] = [];
      try {
        for (const step of steps) {
          clock.set(clock.now() + Math.round(step.gap * (given[0]?.windowMs ?? 1)));
          if (step.do === 'flood') {
            const policy = given[step.limit] as Policy;
            const charge = { policy, identity: 'user:1', cost: 1, shadow: false, blockDurationsMs: [] };
            for (let at = 0; at < FLOOD; at++) {
              clock.advance(step.everyMs);
              const { decisions } = await shared.consume([charge]);
              assert.deepEqual(decisions.map(seen), memory.consume([charge]).decisions.map(seen));
            }
          } else if ('asks' in step) {
            const charges = step.asks.map(({ limit, isLowered, ...rest }): Charge => {
              const whole = given[limit] as Policy;
              // A token bucket that has flowed off under one limit may have been dropped, and still hold some under another.
              const keeps = whole.algorithm === 'token-bucket';
              return { policy: isLowered && !keeps ? (halves[limit] as Policy) : whole, ...rest };
            });
            const expected = memory[step.do](charges).decisions;
            const { decisions } = await shared[step.do](charges);
            // Unlike `expect` it costs next to nothing where it holds.
            assert.deepEqual(decisions.map(seen), expected.map(seen));
            for (const [at, decision] of decisions.entries()) {
              if (decision.receipt !== null) charged.push([decision, expected[at] as Decision]);
            }
          } else if ('which' in step) {
            const [pair] = charged.splice(step.which % Math.max(1, charged.length), 1);
            if (pair === undefined) continue;
            await shared.refund([pair[0]]);
            memory.refund([pair[1]]);
          } else if (step.do === 'block') {
            await shared.block(step.identity, 10_000);
            memory.block(step.identity, 10_000);
          } else if (step.do === 'unblock') {
            await shared.unblock(step.identity);
            memory.unblock(step.identity);
          } else {
            await shared.reset({ identity: step.identity });
            memory.reset({ identity: step.identity });
          }
        }
      } finally {
        shared.close();
        memory.close();
      }
    }),
    runs(1_500),
  );
});
