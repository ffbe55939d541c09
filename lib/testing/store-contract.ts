import { ALGORITHM_NAMES, type AlgorithmName } from '../core/algorithms/index.js';
import type { Clock } from '../core/clock.js';
import type { Store } from '../store/store.js';
import { algorithms } from './contract/algorithms.js';
import { blocks } from './contract/blocks.js';
import { charges } from './contract/charges.js';
import { type Checks, Subject } from './contract/subject.js';
import { TestClock } from './test-clock.js';

/** Creates and disposes of the stores that the contract checks. */
export interface StoreContractOptions {
  /** Creates an empty store that takes its time from the clock. Called once for each behaviour. */
  create(clock: Clock): Store | Promise<Store>;
  /** Cleans up after one behaviour, once the store is closed. */
  dispose?(store: Store): void | Promise<void>;
}

/** One behaviour that a store must have. */
export interface StoreBehaviour {
  /** A sentence that describes the behaviour: a name for a test. */
  readonly name: string;
  /** Checks the behaviour on a new store; rejects if the store does not have it. */
  run(): Promise<void>;
}

/**
 * Returns the behaviours that every store must have, as a list for any test runner.
 *
 * @example
 * for (const behaviour of storeContract({ create: (clock) => new MyStore({ clock }) })) {
 *   test(behaviour.name, () => behaviour.run());
 * }
 */
export const storeContract = ({ create, dispose }: StoreContractOptions): readonly StoreBehaviour[] => {
  const behaviours = (prefix: string, checks: Checks, algorithm?: AlgorithmName): readonly StoreBehaviour[] =>
    Object.entries(checks).map(([name, check]) => ({
      name: `${prefix}${name}`,
      async run() {
        const clock = new TestClock();
        const store = await create(clock);
        try {
          await check(new Subject(store, clock, algorithm));
        } finally {
          await store.close?.();
          await dispose?.(store);
        }
      },
    }));
  return [
    ...ALGORITHM_NAMES.flatMap((name) => behaviours(`${name}: `, algorithms, name)),
    ...behaviours('', { ...charges, ...blocks }),
  ];
};
