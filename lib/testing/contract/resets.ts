import assert from 'node:assert/strict';
import type { Checks } from './checks.js';

/** Resets of an identity, and of one scope of it. */
export const resets: Checks = {
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
