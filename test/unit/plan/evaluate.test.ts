import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { MemoryStore, type RateLimitOptions } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { addressNormalizer } from '../../../lib/identity/addresses.js';
import { createHasher } from '../../../lib/identity/hash.js';
import { RateLimitContext } from '../../../lib/nest/context/call-context.js';
import { TRANSPORTS } from '../../../lib/nest/context/transports/index.js';
import { ProxyDetector } from '../../../lib/nest/context/untrusted-proxy.js';
import { decideWithoutUser, type IdentityResolver } from '../../../lib/plan/evaluate.js';
import { compileLimit } from '../../../lib/plan/limit.js';
import { UnknownRateError } from '../../../lib/plan/rate-source.js';
import { rejectResolvers } from '../../../lib/plan/resolvers.js';

const RATES: Readonly<Record<string, '2/min' | '3/min'>> = { free: '2/min', pro: '3/min' };

const byKey: IdentityResolver<RateLimitContext> = (context, limit) => limit.identify(context);

const setUp = (user?: object) => {
  const reported: string[] = [];
  const limit = (name: string, options: Omit<RateLimitOptions, 'name'>) =>
    compileLimit<RateLimitContext>(
      { ...options, name },
      { name, scope: 'Shop.get', reach: 'route', source: `Shop.${name}`, isModuleLimit: false },
      {
        key: 'ip',
        algorithm: 'sliding-window',
        tier: undefined,
        hash: createHasher('secret'),
        isKeyed: true,
        resolve: rejectResolvers,
        shadow: false,
        failMode: 'local',
        report: (source, message) => reported.push(`${source}: ${message}`),
      },
    );
  const context = new RateLimitContext(new ExecutionContextHost([{ ip: '203.0.113.7', user }, {}]), {
    transport: TRANSPORTS.http,
    normalizeAddress: addressNormalizer(64),
    resolveAddress: null,
    proxyDetector: new ProxyDetector(addressNormalizer(64)),
    userOf: undefined,
  });
  const store = new MemoryStore({ clock: new TestClock() });
  const decide = (limits: ReturnType<typeof limit>[], identify = byKey) =>
    decideWithoutUser(limits, context, store, identify);
  return { reported, limit, decide, store };
};

const namesOf = (limits: readonly { readonly name: string }[]) => limits.map(({ name }) => name);

/** Functions that need a user: they fail, or give nothing, without one. */
const asking: [string, Omit<RateLimitOptions, 'name'>][] = [
  ['a rate that is undefined', { rate: ({ user }) => RATES[user?.tier as string] as '3/min' }],
  ['a rate that throws', { rate: ({ user }) => RATES[(user as { tier: string }).tier] as '3/min' }],
  ['a key that throws', { rate: '3/min', key: ({ user }) => (user as { id: string }).id }],
  ['a key that is empty', { rate: '3/min', key: ({ userId }) => userId ?? '' }],
  ['a cost that throws', { rate: '3/min', cost: ({ user }) => Object.keys(user as object).length }],
];

describe('limits that are decided before the user may be known', () => {
  test.each(asking)('%s: at once, the limit left over, the others charged', (_what, options) => {
    const { reported, limit, decide, store } = setUp();
    const partly = decide([
      limit('first', { rate: '5/min' }),
      limit('asks', options),
      limit('last', { rate: () => '7/min' }),
    ]);
    if (partly instanceof Promise) throw new Error('It answers later.');
    expect(namesOf(partly.left)).toEqual(['asks']);
    expect(namesOf(partly.outcome.decisions)).toEqual(['first', 'last']);
    expect([partly.outcome.allowed, store.size]).toEqual([true, 2]);
    expect(reported).toEqual([]);
  });

  test.each(asking)('%s: decided at once when the user is there already', (_what, options) => {
    const { reported, limit, decide } = setUp({ id: 'bob', tier: 'pro' });
    const partly = decide([limit('asks', options)]);
    if (partly instanceof Promise) throw new Error('It answers later.');
    expect([namesOf(partly.left), namesOf(partly.outcome.decisions)]).toEqual([[], ['asks']]);
    expect(reported).toEqual([]);
  });

  test.each(asking)('%s: the same when it answers later', async (_what, options) => {
    const { reported, limit, decide } = setUp();
    const later = Object.fromEntries(
      Object.entries(options).map(([name, value]) => [
        name,
        typeof value === 'function'
          ? async (context: RateLimitContext) => (value as (given: unknown) => unknown)(context)
          : value,
      ]),
    ) as unknown as typeof options;
    const partly = decide([limit('first', { rate: '5/min' }), limit('asks', later)]);
    expect(partly).toBeInstanceOf(Promise);
    const { left, outcome } = await partly;
    expect([namesOf(left), namesOf(outcome.decisions)]).toEqual([['asks'], ['first']]);
    expect(reported).toEqual([]);
  });

  test('a guard that asks for the user leaves the limit over', () => {
    const { limit, decide } = setUp();
    const partly = decide([limit('any', { rate: '5/min' })], ({ user }) => `user:${user?.id}`);
    if (partly instanceof Promise) throw new Error('It answers later.');
    expect([namesOf(partly.left), partly.outcome.skipped]).toEqual([['any'], true]);
  });

  test('a limit that looks at the request is decided, and named', () => {
    const { limit, decide } = setUp();
    const partly = decide([
      limit('plain', { rate: '5/min' }),
      limit('looks', {
        rate: '5/min',
        key: ({ request }) => String((request.user as undefined) ?? 'nobody'),
      }),
    ]);
    if (partly instanceof Promise) throw new Error('It answers later.');
    expect(namesOf(partly.outcome.decisions)).toEqual(['plain', 'looks']);
    expect([namesOf(partly.left), namesOf(partly.touchedRequest)]).toEqual([[], ['looks']]);
  });

  test('a limit that fails without a word of the user cannot be decided', async () => {
    const failing = (): never => {
      throw new Error('no database');
    };
    const { reported, limit, decide, store } = setUp();
    for (const rate of [failing, async () => failing()]) {
      const limits = [limit('first', { rate: '5/min' }), limit('fails', { rate })];
      await expect((async () => decide(limits))()).rejects.toThrow(UnknownRateError);
    }
    const said = 'Shop.fails: The rate function gave no rate, so the request cannot be decided.';
    expect(reported).toEqual([said, said]);
    expect(store.size).toBe(0);
  });

  test('a limit that only reports keeps no request from being decided', async () => {
    const { reported, limit, decide } = setUp();
    const rate = (): never => {
      throw new Error('no database');
    };
    const { outcome } = await decide([
      limit('first', { rate: '5/min' }),
      limit('fails', { rate, shadow: true }),
    ]);
    expect(namesOf(outcome.decisions)).toEqual(['first']);
    expect(reported).toEqual(['Shop.fails: The rate function gave no rate, so the limit is left out.']);
  });
});
