import assert from 'node:assert/strict';
import type { Checks } from './subject.js';

/** Charges fill a bucket, expire from it and are refunded: the same under every algorithm. */
export const algorithms: Checks = {
  async 'admits up to the limit, then denies'(subject) {
    const seen = [];
    for (let i = 0; i < 6; i++) seen.push(await subject.one());
    assert.deepEqual(
      seen.map(({ allowed, remaining }) => [allowed, remaining]),
      [...[4, 3, 2, 1, 0].map((remaining) => [true, remaining]), [false, 0]],
    );
  },

  async 'the reported wait is exactly long enough: a millisecond less is not'(subject) {
    await subject.spend(5);
    const { retryAfterMs } = await subject.one();
    assert.ok(retryAfterMs !== null && retryAfterMs > 0);
    subject.clock.advance(retryAfterMs - 1);
    assert.equal((await subject.one()).retryAfterMs, 1);
    subject.clock.advance(1);
    assert.equal((await subject.one()).allowed, true);
  },

  async 'a denial charges nothing'(subject) {
    await subject.spend(5);
    const first = await subject.one();
    for (let i = 0; i < 20; i++) await subject.one();
    const last = await subject.one();
    assert.deepEqual([last.retryAfterMs, last.resetAfterMs], [first.retryAfterMs, first.resetAfterMs]);
  },

  async 'has all units again after the reported reset'(subject) {
    await subject.spend(5);
    const { resetAfterMs } = await subject.peek();
    subject.clock.advance(resetAfterMs);
    assert.deepEqual([(await subject.peek()).remaining, (await subject.peek()).resetAfterMs], [5, 0]);
  },

  async 'a clock that steps back neither frees units nor locks a bucket'(subject) {
    subject.clock.advance('1h');
    await subject.spend(5);
    subject.clock.set(subject.clock.now() - 3_600_000);
    const denied = await subject.one();
    assert.equal(denied.allowed, false);
    assert.ok(denied.retryAfterMs !== null && denied.retryAfterMs <= 60_000);
    subject.clock.advance(denied.retryAfterMs);
    assert.equal((await subject.one()).allowed, true);
  },

  async 'a changed limit keeps the counts of its bucket'(subject) {
    await subject.spend(4);
    assert.equal((await subject.peek({ limit: 3 })).remaining, 0);
    assert.equal((await subject.one({ limit: 3 })).allowed, false);
    assert.equal((await subject.peek({ limit: 10 })).remaining, 6);
  },

  async 'a lowered limit locks nobody out for longer than a window'(subject) {
    await subject.one({ limit: 1_000, cost: 1_000 });
    const { allowed, retryAfterMs } = await subject.one({ limit: 10 });
    assert.equal(allowed, false);
    assert.ok(retryAfterMs !== null && retryAfterMs <= 60_000);
    subject.clock.advance(retryAfterMs);
    assert.equal((await subject.one({ limit: 10 })).allowed, true);
  },

  async 'a refund gives back the charge'(subject) {
    await subject.spend(4);
    const decision = await subject.one({ cost: 1 });
    await subject.store.refund([decision]);
    assert.equal((await subject.peek()).remaining, 1);
  },

  async 'a refund of an expired charge gives back nothing'(subject) {
    const decision = await subject.one({ cost: 5 });
    subject.clock.advance(decision.resetAfterMs);
    await subject.spend(2);
    await subject.store.refund([decision]);
    assert.equal((await subject.peek()).remaining, 3);
  },

  async 'a refund after a reset gives back nothing'(subject) {
    const decision = await subject.one({ cost: 3 });
    await subject.store.reset({ identity: 'user:1' });
    await subject.spend(2);
    await subject.store.refund([decision]);
    assert.equal((await subject.peek()).remaining, 3);
  },
};
