// Decisions of stores in memory, one limit, many clients, a request after the other.
import { definePolicy } from '../dist/esm/core/policy.js';
import { MemoryStore, RateLimiter } from '../dist/esm/index.js';
import { contest, median, ratioOf } from './support/contest.mjs';
import { atLeast, table, times, whole } from './support/section.mjs';

const ROUNDS = 9;
const REQUESTS = 500_000;
/** Nobody is denied, since peers answer a denial by an exception, and no token bucket is full again meanwhile. */
const RATE = { limit: 50, windowMs: 3_600_000 };
const PLENTY = { limit: 1_000_000, windowMs: 3_600_000 };

/** Every client once, and requests of them, none of whom comes again before many others have. */
function requests(clients) {
  const everybody = Array.from(
    { length: clients },
    (_, at) => `ip:10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`,
  );
  const identities = Array.from(
    { length: REQUESTS },
    (_, at) => everybody[(Math.imul(at, 2_654_435_761) >>> 0) % clients],
  );
  return { everybody, identities };
}

/** Decisions a second, awaited: `decide` gives a promise, or a value. */
async function awaited(clients, decide) {
  const { everybody, identities } = requests(clients);
  for (const identity of everybody) await decide(identity);
  return {
    async measure() {
      const startMs = performance.now();
      for (let at = 0; at < REQUESTS; at++) await decide(identities[at]);
      return (REQUESTS / (performance.now() - startMs)) * 1_000;
    },
  };
}

const store = () => new MemoryStore({ maxBuckets: 2_000_000 });
const NO_BLOCKS = [];
const charges = (policy, identity) => [
  { policy, identity, cost: 1, shadow: false, blockDurationsMs: NO_BLOCKS },
];
const policyOf = (algorithm) =>
  algorithm === 'token-bucket'
    ? definePolicy({ name: 'all', scope: 'all', rate: RATE, algorithm, burst: 1_000_000 })
    : definePolicy({ name: 'all', scope: 'all', rate: PLENTY, algorithm });

/** The store of this library, whose answer is there at once. */
const synchronous =
  (algorithm) =>
  ({ clients }) => {
    const { everybody, identities } = requests(clients);
    const ours = store();
    const policy = policyOf(algorithm);
    for (const identity of everybody) ours.consume(charges(policy, identity));
    return {
      measure() {
        let admitted = 0;
        const startMs = performance.now();
        for (let at = 0; at < REQUESTS; at++) {
          if (ours.consume(charges(policy, identities[at])).decisions[0].allowed) admitted++;
        }
        const perSecond = (REQUESTS / (performance.now() - startMs)) * 1_000;
        if (admitted < REQUESTS) throw new Error('Some were denied.');
        return perSecond;
      },
    };
  };

export const ways = {
  'fixed-window': synchronous('fixed-window'),
  'sliding-window': synchronous('sliding-window'),
  'token-bucket': synchronous('token-bucket'),
  awaited({ clients }) {
    const ours = store();
    const policy = policyOf('fixed-window');
    return awaited(clients, (identity) => ours.consume(charges(policy, identity)));
  },
  RateLimiter({ clients }) {
    const limiter = new RateLimiter({
      scopes: { all: { rate: PLENTY, algorithm: 'fixed-window' } },
      store: store(),
    });
    return awaited(clients, (identity) => limiter.consume({ scope: 'all', identity }));
  },
  async 'express-rate-limit'({ clients }) {
    const { MemoryStore } = await import('express-rate-limit');
    const theirs = new MemoryStore();
    theirs.init({ windowMs: PLENTY.windowMs });
    return awaited(clients, (identity) => theirs.increment(identity));
  },
  async 'rate-limiter-flexible'({ clients }) {
    const { RateLimiterMemory } = await import('rate-limiter-flexible');
    const theirs = new RateLimiterMemory({ points: PLENTY.limit, duration: PLENTY.windowMs / 1_000 });
    return awaited(clients, (identity) => theirs.consume(identity));
  },
  async '@nestjs/throttler'({ clients }) {
    const { ThrottlerStorageService } = await import('@nestjs/throttler');
    const theirs = new ThrottlerStorageService();
    return awaited(clients, (key) =>
      theirs.increment(key, PLENTY.windowMs, PLENTY.limit, PLENTY.windowMs, 'all'),
    );
  },
};

const PEERS = ['express-rate-limit', 'rate-limiter-flexible'];
const OURS = ['fixed-window', 'sliding-window', 'token-bucket', 'awaited', 'RateLimiter'];

const SAID = {
  'fixed-window': 'MemoryStore, fixed-window, synchronous',
  'sliding-window': 'MemoryStore, sliding-window, synchronous',
  'token-bucket': 'MemoryStore, token-bucket, synchronous',
  awaited: 'MemoryStore, fixed-window, awaited',
  RateLimiter: 'RateLimiter, fixed-window, awaited',
};

export default async function measure() {
  const module = new URL(import.meta.url);
  const few = await contest(module, [...OURS, ...PEERS, '@nestjs/throttler'], { clients: 10_000 }, ROUNDS);
  const many = await contest(module, [...OURS, ...PEERS], { clients: 1_000_000 }, ROUNDS);
  const [express, flexible] = PEERS;
  const line = (name, of) => [
    SAID[name] ?? name,
    whole(median(of[name])),
    times(ratioOf(of[name], of[express])),
    times(ratioOf(of[name], of[flexible])),
  ];
  const columns = (clients) => [
    `${clients} clients`,
    'decisions a second',
    `of ${express}`,
    `of ${flexible}`,
  ];
  return {
    title: 'Decisions in memory',
    text: `One limit, a request after the other, ${whole(REQUESTS)} a round, ${ROUNDS} rounds in turn, each library in a process of its own. Every client has a bucket before that. Peers give promises alone. @nestjs/throttler keeps a timer for each request, so that it is not asked to hold a million of them.`,
    tables: [
      table(
        columns('10,000'),
        Object.keys(few).map((name) => line(name, few)),
      ),
      table(
        columns('1,000,000'),
        Object.keys(many).map((name) => line(name, many)),
      ),
    ],
    bars: [
      atLeast(`synchronous, of ${express}`, ratioOf(few['fixed-window'], few[express]), 1.5),
      atLeast(`awaited, of ${express}`, ratioOf(few.awaited, few[express]), 1),
      atLeast(`awaited, of ${flexible}`, ratioOf(few.awaited, few[flexible]), 2),
      atLeast(
        '1,000,000 clients, of 10,000',
        median(many['fixed-window']) / median(few['fixed-window']),
        0.2,
      ),
      atLeast(`1,000,000 clients, awaited, of ${express}`, ratioOf(many.awaited, many[express]), 1),
      atLeast(`1,000,000 clients, awaited, of ${flexible}`, ratioOf(many.awaited, many[flexible]), 1),
    ],
  };
}
