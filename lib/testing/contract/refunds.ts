import assert from 'node:assert/strict';
import { ofEachAlgorithm } from './checks.js';

/** What a refund gives back, under every algorithm alike. */
export const refunds = ofEachAlgorithm((algorithm) => ({
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
