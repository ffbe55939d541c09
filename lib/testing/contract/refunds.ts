import assert from 'node:assert/strict';
import { type Checks, forEachAlgorithm } from './checks.js';

const alike = forEachAlgorithm((algorithm) => ({
  async [`${algorithm}: a refund gives back what was charged`](subject) {
    await subject.spend(4, { algorithm });
    const decision = await subject.one({ algorithm, cost: 1 });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 1);
  },

  async [`${algorithm}: a refund of what has ended gives back nothing`](subject) {
    const decision = await subject.one({ algorithm, cost: 5 });
    subject.clock.advance(decision.resetAfterMs);
    await subject.spend(2, { algorithm });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 3);
  },

  async [`${algorithm}: a refund behind a reset gives back nothing`](subject) {
    const decision = await subject.one({ algorithm, cost: 3 });
    await subject.store.reset({ identity: 'user:1' });
    await subject.spend(2, { algorithm });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 3);
  },
}));

/** What a refund gives back, under every algorithm alike, and under a limit that has fallen. */
export const refunds: Checks = {
  ...alike,

  async 'a refund of what has flowed off leaves alone what was charged under a lower limit since'(subject) {
    const before = { algorithm: 'token-bucket', limit: 1_000, windowMs: 3_600_000 } as const;
    const since = { ...before, limit: 10 };
    const decision = await subject.one(before);
    subject.clock.advance(1_000);
    await subject.spend(9, since);
    subject.clock.advance(59_000);
    await subject.store.refund([decision]);
    assert.equal((await subject.one(since)).allowed, false);
  },
};
