import { MemoryStore } from '../store/memory/memory-store.js';
import type { Store } from '../store/store.js';
import type { ResilienceSettings, StoreEvent } from './options.js';
import { ResilientStore, type StoreHealth } from './resilient-store.js';

/** A store that requests can call: one that cannot fail, or one that is guarded against its failures. */
export type GuardedStore = MemoryStore | ResilientStore;

/**
 * Guards a store against its failures. A `MemoryStore` is returned as it is, since it has nothing that can fail.
 *
 * @param onEvent Receives what happens to a guarded store.
 */
export function guardStore(
  store: Store,
  settings: ResilienceSettings,
  onEvent: (event: StoreEvent) => void,
): GuardedStore {
  return isPlainMemoryStore(store) ? store : new ResilientStore(store, settings, onEvent);
}

/** Compares prototypes, since `instanceof` holds for subclasses and for the store of another copy of the library too. */
const isPlainMemoryStore = (store: Store): store is MemoryStore =>
  Object.getPrototypeOf(store) === MemoryStore.prototype;

const ALWAYS_UP: StoreHealth = {
  status: 'up',
  shards: [{ shard: '', breaker: 'closed', failures: 0, error: null, retryAfterMs: 0 }],
  degraded: 0,
};

/** Returns the health of a store; one that cannot fail is always up. */
export const storeHealth = (store: GuardedStore): StoreHealth =>
  store instanceof ResilientStore ? store.health() : ALWAYS_UP;

/** Counts the buckets that this process holds: those of a memory store, or `local` ones that stand in for another store. */
export function localBuckets(guarded: GuardedStore): {
  readonly kind: 'memory' | 'local';
  readonly count: number;
} {
  const store = guarded instanceof ResilientStore ? guarded.store : guarded;
  if (store instanceof MemoryStore) return { kind: 'memory', count: store.size };
  return { kind: 'local', count: (guarded as ResilientStore).localBucketCount };
}
