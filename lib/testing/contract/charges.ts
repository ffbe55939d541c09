import assert from 'node:assert/strict';
import { type ChargeOptions, type Checks, charge } from './subject.js';

/** Decisions about charges, costs, peeks and refunds, about several limits together, and separate buckets. */
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

  async 'a peek tells what is left now and whether a charge would be admitted, and charges nothing'(subject) {
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

  async 'a denied request is charged to none of its limits'(subject) {
    const tight = charge({ name: 'tight', limit: 1 });
    const loose = charge({ name: 'loose', limit: 10 });
    await subject.consume(loose, tight);
    const denied = await subject.consume(loose, tight);
    assert.deepEqual(
      denied.map(({ allowed, remaining }) => [allowed, remaining]),
      [
        [true, 9],
        [false, 0],
      ],
    );
    assert.equal((await subject.peek({ name: 'loose', limit: 10 })).remaining, 9);
  },

  async 'a shadow limit never denies, and is not charged for a request above it'(subject) {
    const shadow = charge({ name: 'shadow', limit: 1, shadow: true });
    const real = charge({ name: 'real', limit: 10 });
    await subject.consume(real, shadow);
    const [first, second] = await subject.consume(real, shadow);
    assert.deepEqual([first?.allowed, first?.remaining, second?.allowed], [true, 8, false]);
  },

  async 'a shadow limit is not charged for a request that another limit denies'(subject) {
    const shadow = charge({ name: 'shadow', limit: 5, shadow: true });
    const real = charge({ name: 'real', limit: 1 });
    await subject.consume(real, shadow);
    await subject.consume(real, shadow);
    assert.equal((await subject.peek({ name: 'shadow' })).remaining, 4);
  },

  async 'identities, scopes, policies, windows and algorithms have separate buckets'(subject) {
    await subject.spend(5);
    for (const other of [
      { identity: 'user:2' },
      { scope: 'other' },
      { name: 'other' },
      { windowMs: 61_000 },
      { algorithm: 'fixed-window' as const },
    ]) {
      assert.equal((await subject.one(other)).remaining, 4, JSON.stringify(other));
    }
  },

  async 'names and identities that contain separators have separate buckets'(subject) {
    const pairs: ChargeOptions[] = [
      { scope: 'a:b', name: 'c', identity: 'x' },
      { scope: 'a', name: 'b:c', identity: 'x' },
      { scope: 'a%3Ab', name: 'c', identity: 'x' },
      { scope: 'a', name: 'b', identity: 'x}:a:{x' },
      { scope: 'a', name: 'b', identity: '{x' },
      { scope: 'a', name: 'b', identity: '*' },
    ];
    for (const pair of pairs) assert.equal((await subject.one(pair)).remaining, 4, JSON.stringify(pair));
  },
};
