import assert from 'node:assert/strict';
import type { Checks } from './checks.js';
import { charge } from './subject.js';

/** Requests with several limits, some of them shadow limits. */
export const atomicity: Checks = {
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
};
