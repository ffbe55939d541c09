import assert from 'node:assert/strict';
import type { Checks } from './subject.js';

/** Blocks of a bucket after a denial and of an identity, and resets of an identity and of one scope of it. */
export const blocks: Checks = {
  async 'a denial blocks its own bucket, and no later request extends the block'(subject) {
    const blocking = { blockDurationsMs: [600_000] };
    await subject.spend(5, blocking);
    assert.equal((await subject.one(blocking)).retryAfterMs, 600_000);
    subject.clock.advance(599_999);
    assert.equal((await subject.one(blocking)).retryAfterMs, 1);
    assert.equal((await subject.one({ name: 'other' })).allowed, true);
    subject.clock.advance(1);
    assert.equal((await subject.one(blocking)).allowed, true);
  },

  async 'blocks grow, and start over after no block for as long as the longest one'(subject) {
    const growing = { limit: 1, windowMs: 1_000, blockDurationsMs: [10_000, 60_000, 300_000] };
    await subject.one(growing);
    for (const blockMs of [10_000, 60_000, 300_000, 300_000]) {
      assert.equal((await subject.one(growing)).retryAfterMs, blockMs);
      subject.clock.advance(blockMs);
      assert.equal((await subject.one(growing)).allowed, true);
    }
    subject.clock.advance(299_999);
    await subject.one(growing);
    assert.equal((await subject.one(growing)).retryAfterMs, 300_000);
    subject.clock.advance(600_000);
    await subject.one(growing);
    assert.equal((await subject.one(growing)).retryAfterMs, 10_000);
  },

  async 'unblock and reset clear the number of earlier blocks'(subject) {
    const growing = { limit: 1, windowMs: 1_000, blockDurationsMs: [10_000, 60_000] };
    for (const clear of [
      () => subject.store.unblock('user:1'),
      () => subject.store.reset({ identity: 'user:1' }),
    ]) {
      await subject.one(growing);
      assert.equal((await subject.one(growing)).retryAfterMs, 10_000);
      await clear();
      subject.clock.advance(1_000);
    }
  },

  async 'a shadow limit, a peek and a cost above the limit start no block'(subject) {
    const blocking = { blockDurationsMs: [600_000] };
    await subject.one({ ...blocking, cost: 6 });
    assert.equal((await subject.peek()).allowed, true);
    await subject.spend(5);
    await subject.peek(blocking);
    await subject.one({ ...blocking, shadow: true });
    const { retryAfterMs } = await subject.one();
    assert.ok(retryAfterMs !== null && retryAfterMs <= 60_000);
  },

  async 'a blocked bucket also denies a cost of 0'(subject) {
    await subject.spend(5, { blockDurationsMs: [1_000] });
    await subject.one({ blockDurationsMs: [1_000] });
    assert.equal((await subject.one({ cost: 0 })).allowed, false);
  },

  async 'a blocked identity is denied under every limit until the block ends'(subject) {
    await subject.store.block('user:1', 900_000);
    for (const options of [{}, { name: 'other' }, { scope: 'other' }]) {
      const decision = await subject.one(options);
      assert.deepEqual(
        [decision.allowed, decision.retryAfterMs, decision.remaining, decision.resetAfterMs],
        [false, 900_000, 0, 900_000],
      );
    }
    assert.equal((await subject.one({ identity: 'user:2' })).allowed, true);
    subject.clock.advance(900_000);
    assert.equal((await subject.one()).allowed, true);
  },

  async 'unblock ends both kinds of block and keeps the charges'(subject) {
    await subject.spend(2);
    await subject.store.block('user:1', 900_000);
    await subject.store.unblock('user:1');
    assert.equal((await subject.one()).remaining, 2);
    await subject.spend(2);
    assert.equal((await subject.one({ blockDurationsMs: [900_000] })).retryAfterMs, 900_000);
    await subject.store.unblock('user:1');
    const { retryAfterMs } = await subject.one();
    assert.ok(retryAfterMs !== null && retryAfterMs <= 60_000);
  },

  async 'reset removes the charges and blocks of only one identity'(subject) {
    await subject.spend(5);
    await subject.spend(5, { scope: 'other' });
    await subject.spend(5, { identity: 'user:2' });
    await subject.store.block('user:1', 900_000);
    await subject.store.reset({ identity: 'user:1' });
    assert.equal((await subject.peek()).remaining, 5);
    assert.equal((await subject.peek({ scope: 'other' })).remaining, 5);
    assert.equal((await subject.peek({ identity: 'user:2' })).remaining, 0);
  },

  async 'reset of one scope keeps the others'(subject) {
    await subject.spend(5);
    await subject.spend(5, { scope: 'other' });
    await subject.store.reset({ identity: 'user:1', scope: 'scope' });
    assert.equal((await subject.peek()).remaining, 5);
    assert.equal((await subject.peek({ scope: 'other' })).remaining, 0);
  },
};
