import assert from 'node:assert/strict';
import type { Checks } from './checks.js';
import { charge } from './subject.js';

/** Decisions about charges, costs and peeks. */
export const charges: Checks = {
  async 'a cost above the limit is always denied, and not charged'(subject) {
    const decision = await subject.one({ cost: 6 });
    assert.deepEqual([decision.allowed, decision.retryAfterMs, decision.remaining], [false, null, 5]);
  },

  async 'a limit of 0 always denies, even a cost of 0'(subject) {
    for (const cost of [1, 0]) {
      const decision = await subject.one({ limit: 0, cost });
      assert.deepEqual(
        [decision.allowed, decision.retryAfterMs, decision.limit, decision.remaining],
        [false, null, 0, 0],
      );
    }
  },

  async 'a cost of 0 passes when no units are left, and is not charged'(subject) {
    await subject.spend(5);
    const decision = await subject.one({ cost: 0 });
    assert.deepEqual([decision.allowed, decision.remaining], [true, 0]);
  },

  async 'a peek returns the decision that a charge would get, and charges nothing'(subject) {
    for (let i = 0; i < 10; i++) assert.equal((await subject.peek()).remaining, 5);
    await subject.spend(5);
    const { receipt: _ofPeek, ...peeked } = await subject.peek();
    const { receipt: _ofDenial, ...denied } = await subject.one();
    assert.deepEqual(peeked, { ...denied, charge: peeked.charge });
  },

  async 'of 50 concurrent charges exactly as many pass as the limit admits'(subject) {
    const decisions = await Promise.all(Array.from({ length: 50 }, () => subject.one({ limit: 10 })));
    assert.equal(decisions.filter(({ allowed }) => allowed).length, 10);
  },

  async 'a decision carries the time of the store and its charge'(subject) {
    const request = charge();
    const [decision] = await subject.consume(request);
    assert.equal(decision?.atMs, subject.clock.now());
    assert.equal(decision?.charge, request);
  },
};
