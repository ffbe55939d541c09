import assert from 'node:assert/strict';
import type { Checks } from './checks.js';
import type { ChargeOptions } from './subject.js';

/** Requests that have separate buckets. */
export const buckets: Checks = {
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
