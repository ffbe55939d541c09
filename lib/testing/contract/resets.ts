import assert from 'node:assert/strict';
import type { Checks } from './checks.js';

/** What a reset forgets. */
export const resets: Checks = {
  async 'reset forgets charges and blocks of one identity alone'(subject) {
    await subject.spend(5);
    await subject.spend(5, { scope: 'other' });
    await subject.spend(5, { identity: 'user:2' });
    await subject.store.block('user:1', 900_000);
    await subject.store.reset({ identity: 'user:1' });
    assert.equal((await subject.peek()).remaining, 5);
    assert.equal((await subject.peek({ scope: 'other' })).remaining, 5);
    assert.equal((await subject.peek({ identity: 'user:2' })).remaining, 0);
  },

  async 'reset of one scope leaves the others'(subject) {
    await subject.spend(5);
    await subject.spend(5, { scope: 'other' });
    await subject.store.reset({ identity: 'user:1', scope: 'scope' });
    assert.equal((await subject.peek()).remaining, 5);
    assert.equal((await subject.peek({ scope: 'other' })).remaining, 0);
  },
};
