import type { Clock } from '../core/clock.js';
import type { Store } from '../store/store.js';
import { algorithms } from './contract/algorithms.js';
import { blocks } from './contract/blocks.js';
import { buckets } from './contract/buckets.js';
import { charges } from './contract/charges.js';
import type { Checks } from './contract/checks.js';
import { refunds } from './contract/refunds.js';
import { resets } from './contract/resets.js';
import { Subject } from './contract/subject.js';
import { together } from './contract/together.js';
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
  /** The sentence, for the name of a test. */
  readonly name: string;
  /** Checks it, on a store of its own. */
  run(): Promise<void>;
}

const THEMES: readonly Checks[] = [algorithms, refunds, charges, buckets, together, blocks, resets];

/**
 * What every store must do, as a list that any test runner can run.
 *
 * @example
 * for (const behaviour of storeContract({ create: (clock) => new MyStore({ clock }) })) {
 *   test(behaviour.name, () => behaviour.run());
 * }
 */
export const storeContract = ({ create, dispose }: StoreContractOptions): readonly StoreBehaviour[] =>
  THEMES.flatMap((checks) => Object.entries(checks)).map(([name, check]) => ({
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
