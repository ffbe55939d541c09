import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AlgorithmName, type Charge, type Decision, type FailMode } from 'nestjs-ratelimit';
import { ALGORITHM_NAMES } from '../../lib/core/algorithms/index.js';
import { definePolicy, type Policy } from '../../lib/core/policy.js';
import { LocalReceipt } from '../../lib/resilience/receipts.js';
import { StoreUnavailableError } from '../../lib/store/store.js';
import { type Admission, keepsBound, mostInAnyWindow } from '../support/bounds.js';
import { Guarded } from '../support/guarded.js';
import { type Manner, turn } from '../support/held-store.js';
import { runs } from '../support/runs.js';

// Thousands of stories, each of many turns of the event loop. Unlike `expect`, `assert` costs next to nothing where it
// holds.

/** What happens next to a process and its store. */
type Step =
  /** So many requests at once, of these costs; what the store holds is answered so much later, or never. */
  | { readonly do: 'ask'; readonly costs: readonly number[]; readonly answeredAfterMs: number | null }
  | { readonly do: 'pass'; readonly share: number }
  | { readonly do: 'turn'; readonly to: Manner }
  /** The store forgets all that it has charged. */
  | { readonly do: 'lose' }
  /** What the store has held since it was asked arrives. */
  | { readonly do: 'answer' }
  /** Another process charges the same bucket. */
  | { readonly do: 'elsewhere'; readonly cost: number }
  /** One of the requests that were admitted counts for nothing, and is given back. */
  | { readonly do: 'refund'; readonly which: number };

interface Setting {
  readonly limit: number;
  readonly windowMs: number;
  readonly threshold: number;
  readonly aheadMs: number;
  /** How long a denial blocks, as a share of the window; 0 for not at all. */
  readonly block: number;
}

const settings: fc.Arbitrary<Setting> = fc.record({
  limit: fc.oneof(
    { weight: 7, arbitrary: fc.integer({ min: 1, max: 5 }) },
    // So many that a sliding window counts by sub-windows.
    { weight: 1, arbitrary: fc.integer({ min: 35, max: 60 }) },
  ),
  windowMs: fc.constantFrom(300, 2_000, 10_000),
  threshold: fc.constantFrom(1, 3, 1_000),
  aheadMs: fc.constantFrom(0, 0, 3_600_000, -3_600_000),
  block: fc.constantFrom(0, 0, 0.1, 1.5),
});

const manners: readonly Manner[] = ['answers', 'at-once', 'throws', 'rejects', 'hangs', 'slow'];

interface Shape {
  readonly most: number;
  readonly manners?: readonly Manner[];
  readonly others?: readonly ('lose' | 'elsewhere')[];
}

/** Scripts with up to `most` requests at a time. */
const scripts = ({ most, manners: ways = manners, others = [] }: Shape): fc.Arbitrary<readonly Step[]> => {
  const cost = fc.oneof(
    { weight: 5, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 5 }) },
  );
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        costs: fc.array(cost, { minLength: 1, maxLength: most }),
        answeredAfterMs: fc.option(fc.integer({ min: 0, max: 150 })),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('pass' as const),
        share: fc.oneof(
          { weight: 2, arbitrary: fc.double({ min: 0, max: 0.2, noNaN: true }) },
          { weight: 1, arbitrary: fc.double({ min: 0, max: 1.1, noNaN: true }) },
        ),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('turn' as const), to: fc.constantFrom(...ways) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('answer' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('refund' as const), which: fc.nat({ max: 100 }) }),
    },
    ...others.map((what) => ({
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant(what),
        cost: fc.integer({ min: 1, max: 5 }),
      }) as fc.Arbitrary<Step>,
    })),
  );
  return fc.array(step, { minLength: 1, maxLength: 40, size: 'max' });
};

/** The same, with no two requests at the same time. */
const oneByOne = (script: readonly Step[]): readonly Step[] =>
  script.flatMap((step): readonly Step[] =>
    step.do === 'ask' ? step.costs.map((cost) => ({ ...step, costs: [cost] })) : [step],
  );

/** The most that a decision may take, with the budget that `Guarded` sets. */
const LONGEST_MS = 110;

/** A request that was admitted. */
interface Admitted {
  readonly decision: Decision;
  readonly degraded: boolean;
}

/** The decision of the store that counts a request: also late, in the place of what the process had charged. */
const storeDecisionOf = ({ decision, degraded }: Admitted): Decision | null => {
  const { receipt } = decision;
  if (!degraded) return decision;
  return receipt instanceof LocalReceipt && receipt.local === null ? receipt.store : null;
};

/** What became of a script. */
class Story {
  readonly policy: Policy;
  readonly guarded: Guarded;
  readonly errors: unknown[] = [];
  readonly #lossesMs: number[] = [];
  readonly #admitted: Admitted[] = [];
  #asked = 0;

  constructor(
    readonly setting: Setting,
    readonly algorithm: AlgorithmName,
    readonly failMode: FailMode = 'local',
  ) {
    const { limit, windowMs, threshold, aheadMs } = setting;
    const rate = { limit, windowMs };
    this.policy = definePolicy({ name: 'limit', scope: 'test', rate, algorithm, failMode });
    this.guarded = new Guarded({ threshold, aheadMs });
  }

  static async of(
    script: readonly Step[],
    setting: Setting,
    algorithm: AlgorithmName,
    failMode?: FailMode,
  ): Promise<Story> {
    const story = new Story(setting, algorithm, failMode);
    for (const step of script) await story.#play(step);
    return story;
  }

  charge(cost: number): Charge {
    const { block, windowMs } = this.setting;
    const blockDurationsMs = block === 0 ? [] : [Math.round(block * windowMs)];
    return { policy: this.policy, identity: 'user:1', cost, shadow: false, blockDurationsMs };
  }

  /**
   * All that was admitted, in the order in which it was first charged: by a store that is slow before the process has
   * admitted it, by one that hangs afterwards.
   */
  get all(): readonly Admission[] {
    return inOrder(
      this.#admitted.map((one) => {
        const { atMs, cost } = this.#admissionOf(one);
        return { atMs: one.degraded ? Math.min(atMs, one.decision.atMs) : atMs, cost };
      }),
    );
  }

  /** What the process has admitted, and counts, by itself. */
  get byItself(): readonly Admission[] {
    const own = this.#admitted.filter((one) => storeDecisionOf(one) === null);
    return inOrder(own.map((one) => this.#admissionOf(one)));
  }

  /** What the store has admitted, for each time that it kept its data. */
  get byStore(): readonly (readonly Admission[])[] {
    const lives: Admission[][] = [0, ...this.#lossesMs].map(() => []);
    for (const one of this.#admitted) {
      if (storeDecisionOf(one) === null) continue;
      const admission = this.#admissionOf(one);
      lives[this.#lossesMs.filter((lossMs) => lossMs < admission.atMs).length]?.push(admission);
    }
    return lives.map(inOrder);
  }

  /** Whether each charge was sent once at most. */
  get sentOnce(): boolean {
    const { asked } = this.guarded.held;
    return new Set(asked).size === asked.length && asked.length <= this.#asked;
  }

  /** Waits until all is well again: the store answers, a probe has found out, what was charged has expired. */
  async recover(): Promise<void> {
    const { held } = this.guarded;
    held.manner = 'answers';
    held.answer();
    for (let i = 0; i < 22; i++) await this.guarded.pass(100);
    await this.guarded.pass(4 * this.policy.windowMs);
  }

  async #play(step: Step): Promise<void> {
    const { held } = this.guarded;
    switch (step.do) {
      case 'ask':
        return this.#ask(step.costs, step.answeredAfterMs);
      case 'pass':
        return this.#pass(Math.round(step.share * this.policy.windowMs));
      case 'turn':
        held.manner = step.to;
        return;
      case 'lose':
        // Nothing else happens in the same millisecond, so that decisions can be told apart by their time.
        await this.guarded.pass(1);
        held.inner.clear();
        this.#lossesMs.push(this.guarded.clock.now());
        return this.guarded.pass(1);
      case 'answer':
        held.answer();
        return turn();
      case 'elsewhere':
        held.inner.consume([this.charge(step.cost)]);
        return;
      case 'refund':
        return this.#refund(step.which);
    }
  }

  /** What was admitted and counts for nothing is not held against the limit, whoever has it and gives it back. */
  async #refund(which: number): Promise<void> {
    const [one] = this.#admitted.splice(which % Math.max(1, this.#admitted.length), 1);
    if (one === undefined || one.decision.receipt === null) return;
    // Nobody waits for it, as when a response has been sent.
    void this.guarded.store.refund([one.decision]).catch(() => undefined);
    await turn();
  }

  async #ask(costs: readonly number[], answeredAfterMs: number | null): Promise<void> {
    const { store, held } = this.guarded;
    let waiting = costs.length;
    for (const cost of costs) {
      this.#asked++;
      void (async () => store.consume([this.charge(cost)]))()
        .then(({ decisions: [decision], degraded }) => {
          if (decision?.allowed) this.#admitted.push({ decision, degraded });
        })
        .catch((error: unknown) => this.errors.push(error))
        .finally(() => waiting--);
    }
    await turn();
    for (let ms = 0; waiting > 0 && ms < LONGEST_MS; ms += 10) {
      if (answeredAfterMs !== null && ms >= answeredAfterMs) {
        held.answer();
        await turn();
      }
      if (waiting > 0) await this.guarded.pass(10);
    }
    // Neither the script nor what comes after it lets anything go on waiting.
    assert.equal(waiting, 0);
  }

  /** By the clock of the process, at the time at which it was charged where it counts now. */
  #admissionOf(one: Admitted): Admission {
    const byStore = storeDecisionOf(one);
    const atMs = byStore === null ? one.decision.atMs : byStore.atMs - this.setting.aheadMs;
    return { atMs, cost: one.decision.charge.cost };
  }

  async #pass(ms: number): Promise<void> {
    const grainMs = Math.max(10, Math.ceil(ms / 10));
    for (let left = ms; left > 0; left -= grainMs) await this.guarded.pass(Math.min(left, grainMs));
  }
}

const inOrder = (admissions: readonly Admission[]) => [...admissions].sort((a, b) => a.atMs - b.atMs);

/**
 * Whether a process that went on by itself kept the bound. What it admitted is but a part of what its fixed
 * windows hold, which begin with charges to the store: of these one may end and another begin in a window's time.
 */
const keepsItsBound = (admissions: readonly Admission[], policy: Policy): boolean =>
  policy.algorithm === 'fixed-window'
    ? mostInAnyWindow(admissions, policy.windowMs) <= 2 * policy.limit
    : keepsBound(admissions, policy);

const assertAtMost = (admitted: number, most: number): void =>
  assert(admitted <= most, `It admitted ${admitted}, of ${most}.`);

describe.each(ALGORITHM_NAMES)('A37 A38 with %s, whatever becomes of the store', (algorithm) => {
  test.each<[string, FailMode]>([
    [
      'the store and the process keep the bound each by itself, so that together they admit twice the limit at most',
      'local',
    ],
    ['a closed limit is decided by the store alone, or refused', 'closed'],
  ])('%s', async (_what, failMode) => {
    await fc.assert(
      fc.asyncProperty(
        settings,
        scripts({ most: 6, others: ['lose', 'elsewhere'] }),
        async (setting, script) => {
          const story = await Story.of(script, setting, algorithm, failMode);
          if (failMode === 'closed') {
            const others = story.errors.filter((error) => !(error instanceof StoreUnavailableError));
            assert.deepEqual([others, story.byItself], [[], []]);
          } else assert.deepEqual(story.errors, []);
          assert(story.sentOnce, 'It sent a charge twice.');
          for (const admitted of [...story.byStore, story.byItself])
            assert(keepsItsBound(admitted, story.policy), 'It admitted more.');
        },
      ),
      runs(400),
    );
  });

  test('an open limit refuses nobody for want of the store', async () => {
    await fc.assert(
      fc.asyncProperty(settings, scripts({ most: 3, others: ['lose'] }), async (setting, script) => {
        const story = await Story.of(script, setting, algorithm, 'open');
        assert.deepEqual([story.errors, story.byItself, story.sentOnce], [[], [], true]);
      }),
      runs(100),
    );
  });

  test('in the end the store decides again, and nothing is left of the outage', async () => {
    await fc.assert(
      fc.asyncProperty(settings, scripts({ most: 4, others: ['lose'] }), async (setting, script) => {
        const story = await Story.of(script, setting, algorithm);
        await story.recover();
        const { guarded, policy } = story;
        assert.equal(guarded.store.health().status, 'up');
        const charge = story.charge(1);
        const { remaining } = guarded.held.inner.peek([charge]).decisions[0] ?? {};
        assert.equal(remaining, policy.limit);
        const { decisions, degraded } = await guarded.store.consume([charge]);
        assert.deepEqual([degraded, decisions[0]?.remaining], [false, policy.limit - 1]);
        await guarded.store.close();
        assert.equal(guarded.counted.running, 0);
      }),
      runs(150),
    );
  });
});

describe('A37 of requests one after the other, to a store that nobody else writes to', () => {
  // A token bucket may admit a little more: what it admitted by itself is forgotten when that alone would have
  // flowed off, though charges to the store have kept it from doing so. A fixed window of the process and one of the
  // store begin at different times.
  test('with sliding-window no more than the limit is admitted while it keeps its data, whatever fails and whenever', async () => {
    await fc.assert(
      fc.asyncProperty(settings, scripts({ most: 6 }).map(oneByOne), async (setting, script) => {
        const story = await Story.of(script, setting, 'sliding-window');
        assertAtMost(mostInAnyWindow(story.all, story.policy.windowMs), story.policy.limit);
      }),
      runs(1_500),
    );
  });

  test('with sliding-window no more than twice the limit is admitted when it loses its data once', async () => {
    const halves = fc.tuple(scripts({ most: 6 }).map(oneByOne), scripts({ most: 6 }).map(oneByOne));
    await fc.assert(
      fc.asyncProperty(settings, halves, async (setting, [before, after]) => {
        const story = await Story.of([...before, { do: 'lose' }, ...after], setting, 'sliding-window');
        assertAtMost(mostInAnyWindow(story.all, story.policy.windowMs), 2 * story.policy.limit);
      }),
      runs(500),
    );
  });
});
