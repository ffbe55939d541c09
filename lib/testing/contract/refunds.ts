import assert from 'node:assert/strict';
import { type Checks, forEachAlgorithm } from './checks.js';

const underEachAlgorithm = forEachAlgorithm((algorithm) => ({
  async [`${algorithm}: a refund gives back the charge`](subject) {
    await subject.spend(4, { algorithm });
    const decision = await subject.one({ algorithm, cost: 1 });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 1);
  },

  async [`${algorithm}: a refund of an expired charge gives back nothing`](subject) {
    const decision = await subject.one({ algorithm, cost: 5 });
    subject.clock.advance(decision.resetAfterMs);
    await subject.spend(2, { algorithm });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 3);
  },

  async [`${algorithm}: a refund after a reset gives back nothing`](subject) {
    const decision = await subject.one({ algorithm, cost: 3 });
    await subject.store.reset({ identity: 'user:1' });
    await subject.spend(2, { algorithm });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek({ algorithm })).remaining, 3);
  },
}));

/** Refunds under every algorithm, and under a limit that was lowered. */
export const refunds: Checks = {
  ...underEachAlgorithm,

  async 'a refund of an expired charge does not refund later charges under a lower limit'(subject) {
    const original = { algorithm: 'token-bucket', limit: 1_000, windowMs: 3_600_000 } as const;
    const lowered = { ...original, limit: 10 };
    const decision = await subject.one(original);
    subject.clock.advance(1_000);
    await subject.spend(9, lowered);
    subject.clock.advance(59_000);
    await subject.store.refund([decision]);
    assert.equal((await subject.one(lowered)).allowed, false);
  },
};
