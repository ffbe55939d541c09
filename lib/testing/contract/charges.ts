import assert from 'node:assert/strict';
import type { Checks } from './checks.js';
import { charge } from './subject.js';

/** What charges, costs and peeks are answered. */
export const charges: Checks = {
  async 'a cost above the limit is denied for ever, and charged to nobody'(subject) {
    const decision = await subject.one({ cost: 6 });
    assert.deepEqual([decision.allowed, decision.retryAfterMs, decision.remaining], [false, null, 5]);
  },

  async 'a limit of 0 denies for ever, a cost of 0 too'(subject) {
    for (const cost of [1, 0]) {
      const decision = await subject.one({ limit: 0, cost });
      assert.deepEqual(
        [decision.allowed, decision.retryAfterMs, decision.limit, decision.remaining],
        [false, null, 0, 0],
      );
    }
  },

  async 'a cost of 0 passes a full bucket uncharged'(subject) {
    await subject.spend(5);
    const decision = await subject.one({ cost: 0 });
    assert.deepEqual([decision.allowed, decision.remaining], [true, 0]);
  },

  async 'a peek tells what a charge would get, and charges nothing'(subject) {
    for (let i = 0; i < 10; i++) assert.equal((await subject.peek()).remaining, 5);
    await subject.spend(5);
    const peeked = await subject.peek();
    const { receipt: _peeked, ...seen } = peeked;
    const { receipt: _denied, ...got } = await subject.one();
    assert.deepEqual(seen, { ...got, charge: seen.charge });
  },

  async '50 charges at once pass exactly as often as the limit admits'(subject) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => subject.one({ limit: 10 })));
    assert.equal(answers.filter(({ allowed }) => allowed).length, 10);
  },

  async 'decisions carry the time of the store and the charge they answer'(subject) {
    const asked = charge();
    const [decision] = await subject.consume(asked);
    assert.equal(decision?.atMs, subject.clock.now());
    assert.equal(decision?.charge, asked);
  },
};
