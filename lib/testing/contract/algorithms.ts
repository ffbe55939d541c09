import assert from 'node:assert/strict';
import { forEachAlgorithm } from './checks.js';

/** Charges fill a bucket and expire from it: the same under every algorithm. */
export const algorithms = forEachAlgorithm((algorithm) => ({
  async [`${algorithm}: admits up to the limit, then denies`](subject) {
    const seen = [];
    for (let i = 0; i < 6; i++) seen.push(await subject.one({ algorithm }));
    assert.deepEqual(
      seen.map(({ allowed, remaining }) => [allowed, remaining]),
      [...[4, 3, 2, 1, 0].map((remaining) => [true, remaining]), [false, 0]],
    );
  },

  async [`${algorithm}: the reported wait is exactly long enough: a millisecond less is not`](subject) {
    await subject.spend(5, { algorithm });
    const { retryAfterMs } = await subject.one({ algorithm });
    assert.ok(retryAfterMs !== null && retryAfterMs > 0);
    subject.clock.advance(retryAfterMs - 1);
    assert.equal((await subject.one({ algorithm })).retryAfterMs, 1);
    subject.clock.advance(1);
    assert.equal((await subject.one({ algorithm })).allowed, true);
  },

  async [`${algorithm}: a denial charges nothing`](subject) {
    await subject.spend(5, { algorithm });
    const first = await subject.one({ algorithm });
    for (let i = 0; i < 20; i++) await subject.one({ algorithm });
    const last = await subject.one({ algorithm });
    assert.deepEqual([last.retryAfterMs, last.resetAfterMs], [first.retryAfterMs, first.resetAfterMs]);
  },

  async [`${algorithm}: has all units again after the reported reset`](subject) {
    await subject.spend(5, { algorithm });
    const { resetAfterMs } = await subject.peek({ algorithm });
    subject.clock.advance(resetAfterMs);
    assert.deepEqual(
      [(await subject.peek({ algorithm })).remaining, (await subject.peek({ algorithm })).resetAfterMs],
      [5, 0],
    );
  },

  async [`${algorithm}: a clock that steps back neither frees units nor locks a bucket`](subject) {
    subject.clock.advance('1h');
    await subject.spend(5, { algorithm });
    subject.clock.set(subject.clock.now() - 3_600_000);
    const denied = await subject.one({ algorithm });
    assert.equal(denied.allowed, false);
    assert.ok(denied.retryAfterMs !== null && denied.retryAfterMs <= 60_000);
    subject.clock.advance(denied.retryAfterMs);
    assert.equal((await subject.one({ algorithm })).allowed, true);
  },

  async [`${algorithm}: a changed limit keeps the counts of its bucket`](subject) {
    await subject.spend(4, { algorithm });
    assert.equal((await subject.peek({ algorithm, limit: 3 })).remaining, 0);
    assert.equal((await subject.one({ algorithm, limit: 3 })).allowed, false);
    assert.equal((await subject.peek({ algorithm, limit: 10 })).remaining, 6);
  },
}));
