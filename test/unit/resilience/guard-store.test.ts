import { MemoryStore } from 'nestjs-ratelimit';
import { guardStore, localBuckets, storeHealth } from '../../../lib/resilience/guard-store.js';
import { resilienceSettings, type StoreEvent } from '../../../lib/resilience/options.js';
import { ResilientStore } from '../../../lib/resilience/resilient-store.js';
import type { Store } from '../../../lib/store/store.js';
import { asCharge } from '../../support/guarded.js';
import { HeldStore } from '../../support/held-store.js';

const guard = (store: Store, onEvent: (event: StoreEvent) => void = () => undefined) =>
  guardStore(store, resilienceSettings({}), onEvent);

describe('guarding a store', () => {
  test('a memory store is used as it is, and is always up', () => {
    const store = new MemoryStore();
    const guarded = guard(store);
    expect(guarded).toBe(store);
    guarded.consume([asCharge()]);
    expect(storeHealth(guarded)).toEqual({
      status: 'up',
      shards: [{ shard: '', breaker: 'closed', failures: 0, error: null, retryAfterMs: 0 }],
      degraded: 0,
    });
    expect(localBuckets(guarded)).toEqual({ kind: 'memory', count: 1 });
  });

  test('a subclass of it is guarded, as it may do anything', async () => {
    class Audited extends MemoryStore {
      override consume(): never {
        throw new Error('no audit');
      }
    }
    const events: StoreEvent[] = [];
    const guarded = guard(new Audited(), (event) => events.push(event));
    expect(guarded).toBeInstanceOf(ResilientStore);
    expect(await guarded.consume([asCharge()])).toMatchObject({
      degraded: true,
      decisions: [{ allowed: true }],
    });
    expect(events).toMatchObject([{ kind: 'degraded', cause: { message: 'no audit' } }]);
    expect(localBuckets(guarded)).toEqual({ kind: 'memory', count: 0 });
  });

  test('so is the memory store of another copy of the library', async () => {
    const inner = new MemoryStore();
    // As a copy has it: what `instanceof` recognizes, under another prototype.
    const copy = Object.create(Object.create(MemoryStore.prototype), {
      consume: { value: inner.consume.bind(inner) },
    }) as MemoryStore;
    expect(copy).toBeInstanceOf(MemoryStore);
    expect(guard(copy)).toBeInstanceOf(ResilientStore);
  });

  test('any other store is guarded, has its name, and tells its health', async () => {
    const held = new HeldStore(new MemoryStore(), false);
    held.manner = 'rejects';
    const guarded = guard(held);
    for (let i = 0; i < 5; i++) await guarded.consume([asCharge()]);
    expect([guarded.name, storeHealth(guarded).status]).toEqual(['held', 'degraded']);
    expect(localBuckets(guarded)).toEqual({ kind: 'local', count: 1 });
    await guarded.close();
  });
});
