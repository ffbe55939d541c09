import assert from 'node:assert/strict';
import type { Clock } from '../core/clock.js';
import type { Charge, Decision } from '../core/decision.js';
import { type AlgorithmName, definePolicy } from '../core/policy.js';
import type { Store } from '../store/store.js';
import { TestClock } from './test-clock.js';

/** How the contract gets at the store it checks. */
export interface StoreContractOptions {
  /** Makes an empty store whose time is the clock's. Called once for each behaviour. */
  create(clock: Clock): Store | Promise<Store>;
  /** Clears up after one behaviour; the store has been closed before. */
  dispose?(store: Store): void | Promise<void>;
}

/** One behaviour that a store must have: a sentence, and a check that rejects when it has it not. */
export interface StoreBehaviour {
  readonly name: string;
  run(): Promise<void>;
}

const ALGORITHMS: readonly AlgorithmName[] = ['sliding-window', 'fixed-window', 'token-bucket'];

interface ChargeOptions {
  readonly limit?: number;
  readonly windowMs?: number;
  readonly burst?: number;
  readonly algorithm?: AlgorithmName;
  readonly scope?: string;
  readonly name?: string;
  readonly identity?: string;
  readonly cost?: number;
  readonly shadow?: boolean;
  readonly blockMs?: number | readonly number[];
}

/** A charge of 1 to one bucket of 5 a minute, but for what is said. */
function charge({
  limit = 5,
  windowMs = 60_000,
  name = 'limit',
  scope = 'scope',
  identity = 'user:1',
  cost = 1,
  shadow = false,
  blockMs = [],
  algorithm,
  burst,
}: ChargeOptions = {}): Charge {
  const policy = definePolicy({ name, scope, rate: { limit, windowMs }, algorithm, burst });
  return { policy, identity, cost, shadow, blocks: typeof blockMs === 'number' ? [blockMs] : blockMs };
}

/** A store in use, with what a check asks of it. */
class Subject {
  constructor(
    readonly store: Store,
    readonly clock: TestClock,
  ) {}

  async consume(...charges: readonly Charge[]): Promise<readonly Decision[]> {
    return (await this.store.consume(charges)).decisions;
  }

  async one(options: ChargeOptions = {}): Promise<Decision> {
    return (await this.consume(charge(options)))[0] as Decision;
  }

  async peek(options: ChargeOptions = {}): Promise<Decision> {
    return (await this.store.peek([charge(options)])).decisions[0] as Decision;
  }

  /** Charges one after the other, which all have to pass. */
  async spend(times: number, options: ChargeOptions = {}): Promise<void> {
    for (let i = 0; i < times; i++) assert.equal((await this.one(options)).allowed, true);
  }
}

type Check = (subject: Subject) => Promise<void>;

const behaviours: [name: string, check: Check][] = [];

const must = (name: string, check: Check): number => behaviours.push([name, check]);

for (const algorithm of ALGORITHMS) {
  must(`${algorithm}: admits up to the limit, then denies`, async (subject) => {
    const seen = [];
    for (let i = 0; i < 6; i++) seen.push(await subject.one({ algorithm }));
    assert.deepEqual(
      seen.map(({ allowed, remaining }) => [allowed, remaining]),
      [...[4, 3, 2, 1, 0].map((remaining) => [true, remaining]), [false, 0]],
    );
  });

  must(
    `${algorithm}: waiting exactly the reported time is enough, and a millisecond less is not`,
    async (subject) => {
      await subject.spend(5, { algorithm });
      const { retryAfterMs } = await subject.one({ algorithm });
      assert.ok(retryAfterMs !== null && retryAfterMs > 0);
      subject.clock.advance(retryAfterMs - 1);
      assert.equal((await subject.one({ algorithm })).retryAfterMs, 1);
      subject.clock.advance(1);
      assert.equal((await subject.one({ algorithm })).allowed, true);
    },
  );

  must(`${algorithm}: a denial charges nothing`, async (subject) => {
    await subject.spend(5, { algorithm });
    const first = await subject.one({ algorithm });
    for (let i = 0; i < 20; i++) await subject.one({ algorithm });
    const last = await subject.one({ algorithm });
    assert.deepEqual([last.retryAfterMs, last.resetAfterMs], [first.retryAfterMs, first.resetAfterMs]);
  });

  must(`${algorithm}: is full again after the reported reset`, async (subject) => {
    await subject.spend(5, { algorithm });
    const { resetAfterMs } = await subject.peek({ algorithm });
    subject.clock.advance(resetAfterMs);
    assert.deepEqual(
      [(await subject.peek({ algorithm })).remaining, (await subject.peek({ algorithm })).resetAfterMs],
      [5, 0],
    );
  });

  must(`${algorithm}: a refund gives back what was charged`, async (subject) => {
    await subject.spend(4, { algorithm });
    const decision = await subject.one({ algorithm, cost: 1 });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 1);
  });

  must(`${algorithm}: a refund of what has ended gives back nothing`, async (subject) => {
    const decision = await subject.one({ algorithm, cost: 5 });
    subject.clock.advance(decision.resetAfterMs);
    await subject.spend(2, { algorithm });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 3);
  });

  must(`${algorithm}: a refund behind a reset gives back nothing`, async (subject) => {
    const decision = await subject.one({ algorithm, cost: 3 });
    await subject.store.reset({ identity: 'user:1' });
    await subject.spend(2, { algorithm });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 3);
  });

  must(`${algorithm}: a clock that steps back neither frees nor locks`, async (subject) => {
    subject.clock.advance('1h');
    await subject.spend(5, { algorithm });
    subject.clock.set(subject.clock.now() - 3_600_000);
    const denied = await subject.one({ algorithm });
    assert.equal(denied.allowed, false);
    assert.ok(denied.retryAfterMs !== null && denied.retryAfterMs <= 60_000);
    subject.clock.advance(denied.retryAfterMs);
    assert.equal((await subject.one({ algorithm })).allowed, true);
  });

  must(`${algorithm}: a limit that changes goes on with the counts there are`, async (subject) => {
    await subject.spend(4, { algorithm });
    assert.equal((await subject.peek({ algorithm, limit: 3 })).remaining, 0);
    assert.equal((await subject.one({ algorithm, limit: 3 })).allowed, false);
    assert.equal((await subject.peek({ algorithm, limit: 10 })).remaining, 6);
  });
}

must('a cost above the limit is denied for ever, and charged to nobody', async (subject) => {
  const decision = await subject.one({ cost: 6 });
  assert.deepEqual([decision.allowed, decision.retryAfterMs, decision.remaining], [false, null, 5]);
});

must('a limit of 0 denies for ever, a cost of 0 too', async (subject) => {
  for (const cost of [1, 0]) {
    const decision = await subject.one({ limit: 0, cost });
    assert.deepEqual(
      [decision.allowed, decision.retryAfterMs, decision.limit, decision.remaining],
      [false, null, 0, 0],
    );
  }
});

must('a cost of 0 passes a full bucket uncharged', async (subject) => {
  await subject.spend(5);
  const decision = await subject.one({ cost: 0 });
  assert.deepEqual([decision.allowed, decision.remaining], [true, 0]);
});

must('identities, scopes, policies, windows and algorithms have buckets of their own', async (subject) => {
  await subject.spend(5);
  for (const other of [
    { identity: 'user:2' },
    { scope: 'other' },
    { name: 'other' },
    { windowMs: 61_000 },
    { algorithm: 'fixed-window' as const },
  ]) {
    assert.equal((await subject.one(other)).remaining, 4, JSON.stringify(other));
  }
});

must('names and identities full of separators do not run into one another', async (subject) => {
  const pairs: ChargeOptions[] = [
    { scope: 'a:b', name: 'c', identity: 'x' },
    { scope: 'a', name: 'b:c', identity: 'x' },
    { scope: 'a%3Ab', name: 'c', identity: 'x' },
    { scope: 'a', name: 'b', identity: 'x}:a:{x' },
    { scope: 'a', name: 'b', identity: '{x' },
    { scope: 'a', name: 'b', identity: '*' },
  ];
  for (const pair of pairs) assert.equal((await subject.one(pair)).remaining, 4, JSON.stringify(pair));
});

must('limits are decided together: a denied request is charged to none of them', async (subject) => {
  const tight = charge({ name: 'tight', limit: 1 });
  const loose = charge({ name: 'loose', limit: 10 });
  await subject.consume(loose, tight);
  const denied = await subject.consume(loose, tight);
  assert.deepEqual(
    denied.map(({ allowed, remaining }) => [allowed, remaining]),
    [
      [true, 9],
      [false, 0],
    ],
  );
  assert.equal((await subject.peek({ name: 'loose', limit: 10 })).remaining, 9);
});

must('a shadow limit neither denies nor is charged when it says no', async (subject) => {
  const shadow = charge({ name: 'shadow', limit: 1, shadow: true });
  const real = charge({ name: 'real', limit: 10 });
  await subject.consume(real, shadow);
  const [first, second] = await subject.consume(real, shadow);
  assert.deepEqual([first?.allowed, first?.remaining, second?.allowed], [true, 8, false]);
});

must('a shadow limit is not charged for a request that another limit denies', async (subject) => {
  const shadow = charge({ name: 'shadow', limit: 5, shadow: true });
  const real = charge({ name: 'real', limit: 1 });
  await subject.consume(real, shadow);
  await subject.consume(real, shadow);
  assert.equal((await subject.peek({ name: 'shadow' })).remaining, 4);
});

must('a peek tells what a charge would get, and charges nothing', async (subject) => {
  for (let i = 0; i < 10; i++) assert.equal((await subject.peek()).remaining, 5);
  await subject.spend(5);
  const peeked = await subject.peek();
  const { receipt: _peeked, ...seen } = peeked;
  const { receipt: _denied, ...got } = await subject.one();
  assert.deepEqual(seen, { ...got, charge: seen.charge });
});

must('a denial starts the block of its own bucket, which nothing extends', async (subject) => {
  const blocking = { blockMs: 600_000 };
  await subject.spend(5, blocking);
  assert.equal((await subject.one(blocking)).retryAfterMs, 600_000);
  subject.clock.advance(599_999);
  assert.equal((await subject.one(blocking)).retryAfterMs, 1);
  assert.equal((await subject.one({ name: 'other' })).allowed, true);
  subject.clock.advance(1);
  assert.equal((await subject.one(blocking)).allowed, true);
});

must('blocks grow, and are forgotten once none has been for as long as the longest', async (subject) => {
  const growing = { limit: 1, windowMs: 1_000, blockMs: [10_000, 60_000, 300_000] };
  await subject.one(growing);
  for (const blockMs of [10_000, 60_000, 300_000, 300_000]) {
    assert.equal((await subject.one(growing)).retryAfterMs, blockMs);
    subject.clock.advance(blockMs);
    assert.equal((await subject.one(growing)).allowed, true);
  }
  subject.clock.advance(299_999);
  await subject.one(growing);
  assert.equal((await subject.one(growing)).retryAfterMs, 300_000);
  subject.clock.advance(600_000);
  await subject.one(growing);
  assert.equal((await subject.one(growing)).retryAfterMs, 10_000);
});

must('unblock and reset forget how often a bucket was blocked', async (subject) => {
  const growing = { limit: 1, windowMs: 1_000, blockMs: [10_000, 60_000] };
  for (const forget of [
    () => subject.store.unblock('user:1'),
    () => subject.store.reset({ identity: 'user:1' }),
  ]) {
    await subject.one(growing);
    assert.equal((await subject.one(growing)).retryAfterMs, 10_000);
    await forget();
    subject.clock.advance(1_000);
  }
});

must('a shadow limit, a peek and a cost that never fits start no block', async (subject) => {
  const blocking = { blockMs: 600_000 };
  await subject.one({ ...blocking, cost: 6 });
  assert.equal((await subject.peek()).allowed, true);
  await subject.spend(5);
  await subject.peek(blocking);
  await subject.one({ ...blocking, shadow: true });
  const { retryAfterMs } = await subject.one();
  assert.ok(retryAfterMs !== null && retryAfterMs <= 60_000);
});

must('a blocked bucket denies a cost of 0 as well', async (subject) => {
  await subject.spend(5, { blockMs: 1_000 });
  await subject.one({ blockMs: 1_000 });
  assert.equal((await subject.one({ cost: 0 })).allowed, false);
});

must('a blocked identity is denied under every limit until the block ends', async (subject) => {
  await subject.store.block('user:1', 900_000);
  for (const options of [{}, { name: 'other' }, { scope: 'other' }]) {
    const decision = await subject.one(options);
    assert.deepEqual(
      [decision.allowed, decision.retryAfterMs, decision.remaining, decision.resetAfterMs],
      [false, 900_000, 0, 900_000],
    );
  }
  assert.equal((await subject.one({ identity: 'user:2' })).allowed, true);
  subject.clock.advance(900_000);
  assert.equal((await subject.one()).allowed, true);
});

must('unblock ends both kinds of block and leaves the charges', async (subject) => {
  await subject.spend(2);
  await subject.store.block('user:1', 900_000);
  await subject.store.unblock('user:1');
  assert.equal((await subject.one()).remaining, 2);
  await subject.spend(2);
  assert.equal((await subject.one({ blockMs: 900_000 })).retryAfterMs, 900_000);
  await subject.store.unblock('user:1');
  const { retryAfterMs } = await subject.one();
  assert.ok(retryAfterMs !== null && retryAfterMs <= 60_000);
});

must('reset forgets charges and blocks of one identity alone', async (subject) => {
  await subject.spend(5);
  await subject.spend(5, { scope: 'other' });
  await subject.spend(5, { identity: 'user:2' });
  await subject.store.block('user:1', 900_000);
  await subject.store.reset({ identity: 'user:1' });
  assert.equal((await subject.peek()).remaining, 5);
  assert.equal((await subject.peek({ scope: 'other' })).remaining, 5);
  assert.equal((await subject.peek({ identity: 'user:2' })).remaining, 0);
});

must('reset of one scope leaves the others', async (subject) => {
  await subject.spend(5);
  await subject.spend(5, { scope: 'other' });
  await subject.store.reset({ identity: 'user:1', scope: 'scope' });
  assert.equal((await subject.peek()).remaining, 5);
  assert.equal((await subject.peek({ scope: 'other' })).remaining, 0);
});

must('50 charges at once pass exactly as often as the limit admits', async (subject) => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => subject.one({ limit: 10 })));
  assert.equal(answers.filter(({ allowed }) => allowed).length, 10);
});

must('decisions carry the time of the store and the charge they answer', async (subject) => {
  const asked = charge();
  const [decision] = await subject.consume(asked);
  assert.equal(decision?.atMs, subject.clock.now());
  assert.equal(decision?.charge, asked);
});

/**
 * What every store must do, as a list that any test runner can run.
 *
 * @example
 * for (const behaviour of storeContract({ create: (clock) => new MyStore({ clock }) })) {
 *   test(behaviour.name, () => behaviour.run());
 * }
 */
export const storeContract = ({ create, dispose }: StoreContractOptions): readonly StoreBehaviour[] =>
  behaviours.map(([name, check]) => ({
    name,
    async run() {
      const clock = new TestClock();
      const store = await create(clock);
      try {
        await check(new Subject(store, clock));
      } finally {
        await store.close?.();
        await dispose?.(store);
      }
    },
  }));
