import { ErrorCollector } from '../../../lib/core/errors.js';
import type { LimitOrigin } from '../../../lib/plan/limit.js';
import { compilePlan, type Phase, requirePhase } from '../../../lib/plan/plan.js';
import { type TestLimit, type TestLimitOptions, testLimit } from '../../support/limits.js';

const limit = (name: string, options: Partial<TestLimitOptions> = {}, origin: Partial<LimitOrigin> = {}) =>
  testLimit(name, { rate: '5/min', ...options }, origin);

const planOf = (limits: readonly TestLimit[], hasFollowingGuard: boolean, exempts = false) => {
  const plan = compilePlan('Shop.get', limits, hasFollowingGuard, exempts);
  if (plan === null) throw new Error('There is no plan.');
  return plan;
};

const describePhase = (phase: Phase<never> | null) =>
  phase && {
    limits: phase.limits.map(({ name }) => name),
    isStatic: phase.isStatic,
    asksExempt: phase.asksExempt,
  };

const phasesOf = (...args: Parameters<typeof planOf>) => {
  const { beforeGuards, afterGuards } = planOf(...args);
  return [describePhase(beforeGuards as Phase<never>), describePhase(afterGuards as Phase<never> | null)];
};

const phase = (limits: string[], changes: Partial<Omit<Phase<never>, 'limits'>> = {}) => ({
  limits,
  isStatic: true,
  asksExempt: false,
  ...changes,
});

/** One limit of every kind, and the phase that it belongs to. */
const KINDS: readonly [string, Partial<TestLimitOptions>, 'before' | 'after'][] = [
  ['address', { key: 'ip' }, 'before'],
  ['header', { key: 'header:x-api-key' }, 'before'],
  ['body', { key: 'ip+body:email' }, 'before'],
  ['global', { key: 'global' }, 'before'],
  ['user', { key: 'user' }, 'after'],
  ['user-or-address', { key: 'user|ip' }, 'after'],
  ['anonymous', { key: 'anon' }, 'after'],
  ['tiers', { rate: { default: '5/min' } }, 'after'],
  ['user-stated', { key: 'user', phase: 'before-guards' }, 'before'],
  ['tiers-stated', { rate: { default: '5/min' }, phase: 'before-guards' }, 'before'],
  ['address-stated', { key: 'ip', phase: 'after-guards' }, 'after'],
  ['function-early', { key: () => 'a', phase: 'before-guards' }, 'before'],
  ['function-late', { cost: () => 1, phase: 'after-guards' }, 'after'],
  ['result', { countWhen: () => true }, 'before'],
];

describe('phases', () => {
  test('no limits, no plan', () => {
    expect(compilePlan('Shop.get', [], true, true)).toBeNull();
  });

  test.each(KINDS)('%s where another guard follows', (name, options, expected) => {
    const { beforeGuards, afterGuards } = planOf([limit(name, options)], true);
    const names = (of: typeof afterGuards) => of?.limits.map((one) => one.name) ?? [];
    expect([names(beforeGuards), names(afterGuards)]).toEqual(
      expected === 'before' ? [[name], []] : [[], [name]],
    );
  });

  test('each keeps the order of the limits', () => {
    const limits = KINDS.map(([name, options]) => limit(name, options));
    const { beforeGuards, afterGuards } = planOf(limits, true);
    const namesIn = (expected: 'before' | 'after') =>
      KINDS.filter(([, , where]) => where === expected).map(([name]) => name);
    expect(beforeGuards.limits.map(({ name }) => name)).toEqual(namesIn('before'));
    expect(afterGuards?.limits.map(({ name }) => name)).toEqual(namesIn('after'));
  });

  test('where no other guard follows, both are one', () => {
    const limits = KINDS.map(([name, options]) => limit(name, options));
    const { beforeGuards, afterGuards } = planOf(limits, false);
    expect(beforeGuards.limits).toEqual(limits);
    expect(afterGuards).toBeNull();
  });

  test('a phase is static if none of its limits asks the application', () => {
    const early = limit('early', { when: () => true, phase: 'before-guards' });
    const late = limit('late', { key: 'user' });
    expect(phasesOf([early, late], true)).toEqual([phase(['early'], { isStatic: false }), phase(['late'])]);
    const counted = limit('counted', { countWhen: () => false, methods: ['GET'], block: '1min' });
    expect(phasesOf([counted], false)).toEqual([phase(['counted']), null]);
    const tiers = limit('tiers', { rate: { default: '5/min' } });
    expect(phasesOf([tiers], true)).toEqual([phase([]), phase(['tiers'], { isStatic: false })]);
  });

  test('exempt is asked in the last one, be it without limits', () => {
    const [early, late] = [limit('early'), limit('late', { key: 'user' })];
    const last = { isStatic: false, asksExempt: true };
    expect(phasesOf([early, late], true, true)).toEqual([phase(['early']), phase(['late'], last)]);
    expect(phasesOf([early], true, true)).toEqual([phase(['early']), phase([], last)]);
    expect(phasesOf([early, late], false, true)).toEqual([phase(['early', 'late'], last), null]);
  });

  test('it is frozen, and says which route it is for', () => {
    const plan = planOf([limit('a')], true);
    expect([plan.route, Object.isFrozen(plan)]).toEqual(['Shop.get', true]);
  });

  test('the limits with countWhen by name, of both phases; null for none', () => {
    const early = limit('early', { countWhen: () => true });
    const late = limit('late', { key: 'user', countWhen: () => false });
    expect([...(planOf([early, limit('other'), late], true).refundable ?? [])]).toEqual([
      ['early', early],
      ['late', late],
    ]);
    expect(planOf([limit('other')], true).refundable).toBeNull();
  });

  test('whether it has shadow limits, and reads the user', () => {
    const facts = (...limits: TestLimit[]) => {
      const { hasShadows, readsUser } = planOf(limits, true);
      return { hasShadows, readsUser };
    };
    expect(facts(limit('a'))).toEqual({ hasShadows: false, readsUser: false });
    expect(facts(limit('a'), limit('b', { shadow: true }))).toEqual({ hasShadows: true, readsUser: false });
    expect(facts(limit('a'), limit('b', { key: 'user|ip' }))).toEqual({ hasShadows: false, readsUser: true });
  });

  test('the limit of the route that is only for users, unless one is for anonymous callers', () => {
    const users = limit('users', { key: 'user' });
    const find = (...limits: TestLimit[]) => planOf(limits, true).userOnlyLimit?.name ?? null;
    expect(find(limit('a'), users, limit('more', { key: 'user' }))).toBe('users');
    expect(find(users, limit('anonymous', { key: 'anon' }))).toBeNull();
    expect(find(limit('either', { key: 'user|ip' }))).toBeNull();
    expect(find(limit('module', { key: 'user' }, { isModuleLimit: true }))).toBeNull();
  });
});

describe('limits whose phase would have to be guessed', () => {
  const problems = (options: Partial<TestLimitOptions>) => {
    const errors = new ErrorCollector();
    requirePhase(limit('login', options), 'JwtGuard', errors);
    return errors.errors;
  };
  const FIX = `Write phase: 'after-guards' if it reads the user whom a guard sets; write phase: 'before-guards' if it reads only the request, so that requests that a guard rejects are limited too.`;

  test.each<[string, Partial<TestLimitOptions>]>([
    ['key', { key: () => 'a' }],
    ['rate', { rate: () => '5/min' }],
    ['cost', { cost: () => 1 }],
    ['when', { when: () => true }],
    ['skipIf', { skipIf: () => false }],
  ])('a function for %s', (option, options) => {
    expect(problems(options)).toEqual([
      {
        code: 'missing-phase',
        source: 'Shop.login',
        message: `The ${option} of the limit "login" is a function or class of the application, and another guard (JwtGuard) runs after RateLimitGuard, so the user may not be known yet.`,
        fix: FIX,
      },
    ]);
    expect(problems({ ...options, phase: 'before-guards' })).toEqual([]);
    expect(problems({ ...options, phase: 'after-guards' })).toEqual([]);
  });

  test('several functions of one limit are one error', () => {
    expect(problems({ skipIf: () => false, cost: () => 1, key: () => 'a' })).toEqual([
      {
        code: 'missing-phase',
        source: 'Shop.login',
        message: `The key and cost and skipIf of the limit "login" are functions or classes of the application, and another guard (JwtGuard) runs after RateLimitGuard, so the user may not be known yet.`,
        fix: FIX,
      },
    ]);
  });

  test('a function that is the default key of the module counts', () => {
    const errors = new ErrorCollector();
    requirePhase(testLimit('a', { rate: '5/min' }, {}, { key: () => 'a' }), 'JwtGuard', errors);
    expect(errors.errors.map(({ code }) => code)).toEqual(['missing-phase']);
  });

  test.each<[string, Partial<TestLimitOptions>]>([
    ['countWhen', { countWhen: () => true }],
    ['a text', { key: 'user', cost: 2 }],
    ['tiers', { rate: { default: '5/min' } }],
  ])('%s bears on no phase', (_what, options) => {
    expect(problems(options)).toEqual([]);
  });
});
