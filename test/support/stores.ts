import { MemoryStore, type Store } from 'nestjs-ratelimit';

/** A store that does as `inner`, but for its `changes`. */
export const storeWith = (inner: MemoryStore, changes: Partial<Omit<Store, 'name'>>): Store => ({
  name: 'changed',
  consume: (charges) => inner.consume(charges),
  peek: (charges) => inner.peek(charges),
  refund: (decisions) => inner.refund(decisions),
  reset: (target) => inner.reset(target),
  block: (identity, forMs) => inner.block(identity, forMs),
  unblock: (identity) => inner.unblock(identity),
  close: () => inner.close(),
  ...changes,
});

/** A store that does as `inner`, but answers later, as one behind a network does. */
export const laterStore = (inner: MemoryStore): Store => {
  const later = async <T>(answer: () => T): Promise<T> => {
    await new Promise((resolve) => setImmediate(resolve));
    return answer();
  };
  return {
    name: 'later',
    consume: (charges) => later(() => inner.consume(charges)),
    peek: (charges) => later(() => inner.peek(charges)),
    refund: (decisions) => later(() => inner.refund(decisions)),
    reset: (target) => later(() => inner.reset(target)),
    block: (identity, forMs) => later(() => inner.block(identity, forMs)),
    unblock: (identity) => later(() => inner.unblock(identity)),
    close: () => later(() => inner.close()),
  };
};

/** A store whose charges fail. */
export const downStore = (inner = new MemoryStore()): Store =>
  storeWith(inner, {
    consume: () => {
      throw new Error('store is down');
    },
  });
