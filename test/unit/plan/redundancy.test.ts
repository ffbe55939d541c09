import type { RateLimitContext } from '../../../lib/nest/context/call-context.js';
import type { BucketScope, Limit } from '../../../lib/plan/limit.js';
import { impossibleLimits, redundantLimits } from '../../../lib/plan/redundancy.js';
import { type TestLimitOptions as Options, testLimit } from '../../support/limits.js';

const limit = (name: string, options: Options, reach: BucketScope = 'route') =>
  testLimit(name, options, { reach, scope: `Shop.${reach}` });

/** The names of limits that are said never to bind. */
const never = (...routes: (readonly Limit<RateLimitContext>[])[]): readonly string[] =>
  redundantLimits(routes).map((text) => /^The limit "(.*?)"/.exec(text)?.[1] ?? text);

const tight = (options: Partial<Options> = {}, reach?: BucketScope) =>
  limit('tight', { rate: '5/min', ...options }, reach);
const wide = (options: Partial<Options> = {}, reach?: BucketScope) =>
  limit('wide', { rate: '10/min', ...options }, reach);

describe('limits that never deny', () => {
  test('the warning names both limits', () => {
    expect(redundantLimits([[tight(), wide()]])).toEqual([
      'The limit "wide" of Shop.wide has no effect: "tight" of Shop.tight always denies first. Remove one of them.',
    ]);
  });

  test.each<[string, Partial<Options>, Partial<Options>]>([
    ['a tighter one in the same window', {}, {}],
    ['a longer window with as few', { rate: '10/hour' }, {}],
    ['a key that both name', { key: 'user' }, { key: 'user' }],
    ['costs that make it tighter', { rate: '20/min', cost: 4 }, {}],
    ['a fixed window behind a sliding one', {}, { algorithm: 'fixed-window' }],
    ['a limit of 0', { rate: '0/min' }, {}],
  ])('%s', (_why, first, second) => {
    expect(never([tight(first), wide(second)])).toEqual(['wide']);
    expect(never([wide(second), tight(first)])).toEqual(['wide']);
  });

  const key = () => 'somebody';
  test.each<[string, Partial<Options>, Partial<Options>]>([
    ['another key', { key: 'user' }, { key: 'ip' }],
    ['another function as key', { key: () => 'somebody' }, { key: () => 'somebody' }],
    ['a shorter window', { rate: '5/s' }, {}],
    ['a longer window with more requests', { rate: '5/hour' }, { rate: '2/min' }],
    ['a shadow, which denies nobody', { shadow: true }, {}],
    ['a shadow, which nothing denies', {}, { shadow: true }],
    ['a token bucket, which flows back', { algorithm: 'token-bucket' }, {}],
    ['a token bucket of more', {}, { algorithm: 'token-bucket' }],
    ['a fixed window, of which two follow at once', { algorithm: 'fixed-window', rate: '9/min' }, {}],
    ['a rate that is worked out', { rate: () => '5/min' }, {}],
    ['a rate by tier', { rate: { default: '5/min' } }, {}],
    ['a cost that is worked out', { cost: () => 1 }, {}],
    ['a cost of its own that is worked out', {}, { cost: () => 1 }],
    ['a cost of 0', { cost: 0 }, {}],
    ['a cost of its own of 0', {}, { cost: 0 }],
    ['no rate at all', { rate: null }, {}],
    ['costs that make it wider', {}, { rate: '20/min', cost: 10 }],
  ])('not redundant: %s', (_why, first, second) => {
    expect(never([tight(first), wide(second)])).not.toContain('wide');
  });

  test('the same key function is the same key', () => {
    expect(never([tight({ key }), wide({ key })])).toEqual(['wide']);
  });

  test('of two equal limits one is redundant, of three two', () => {
    expect(never([tight(), limit('twin', { rate: '5/min' })])).toEqual(['tight']);
    expect(
      never([tight(), limit('twin', { rate: '5/min' }), limit('third', { rate: '5/min' })]),
    ).toHaveLength(2);
  });

  test('a limit that denies on one route is not redundant', () => {
    const shared = wide({}, 'global');
    const always = tight({}, 'global');
    expect(never([always, shared], [always, shared])).toEqual(['wide']);
    expect(never([always, shared], [shared])).toEqual([]);
    expect(never([shared], [always, shared])).toEqual([]);
  });

  test.each<[BucketScope, BucketScope, boolean]>([
    ['global', 'global', true],
    ['global', 'class', true],
    ['global', 'route', true],
    ['class', 'global', false],
    ['class', 'class', true],
    ['class', 'route', true],
    ['route', 'global', false],
    ['route', 'class', false],
    ['route', 'route', true],
    ['scope', 'global', false],
    ['scope', 'class', false],
    ['scope', 'route', true],
    ['global', 'scope', false],
    ['scope', 'scope', false],
  ])('a limit of reach %s makes one of reach %s redundant: %s', (first, second, denies) => {
    expect(never([tight({}, first), wide({}, second)])).toEqual(denies ? ['wide'] : []);
  });
});

describe('limits that deny everything', () => {
  const said = (options: Options) => impossibleLimits([limit('dear', options)]);

  test('a fixed cost above the limit', () => {
    expect(said({ rate: '5/min', cost: 6 })).toEqual([
      'The limit "dear" of Shop.dear denies every request: each costs 6, and the limit admits at most 5. Lower the cost or raise the limit.',
    ]);
    expect(said({ rate: '5/min', cost: 5 })).toEqual([]);
  });

  test.each<[string, Options]>([
    ['a limit of 0, which is meant', { rate: '0/min', cost: 6 }],
    ['no limit', { rate: null, cost: 6 }],
    ['a cost that is worked out', { rate: '5/min', cost: () => 6 }],
    ['a rate that is worked out', { rate: () => '5/min', cost: 6 }],
    ['a burst that takes it', { rate: '5/min', cost: 6, algorithm: 'token-bucket', burst: 6 }],
  ])('not reported: %s', (_why, options) => {
    expect(said(options)).toEqual([]);
  });
});
