import { ErrorCollector } from '../../../lib/core/errors.js';
import type { LimitOrigin } from '../../../lib/plan/limit.js';
import { byLoad } from '../../../lib/plan/load.js';
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
  test('a route without limits has no plan', () => {
    expect(compilePlan('Shop.get', [], true, true)).toBeNull();
  });

  test.each(KINDS)('phase of %s if another guard follows', (name, options, expected) => {
    const { beforeGuards, afterGuards } = planOf([limit(name, options)], true);
    const names = (of: typeof afterGuards) => of?.limits.map((one) => one.name) ?? [];
    expect([names(beforeGuards), names(afterGuards)]).toEqual(
      expected === 'before' ? [[name], []] : [[], [name]],
    );
  });

  test('each phase keeps the order of the limits', () => {
    const limits = KINDS.map(([name, options]) => limit(name, options));
    const { beforeGuards, afterGuards } = planOf(limits, true);
    const namesIn = (expected: 'before' | 'after') =>
      KINDS.filter(([, , where]) => where === expected).map(([name]) => name);
    expect(beforeGuards.limits.map(({ name }) => name)).toEqual(namesIn('before'));
    expect(afterGuards?.limits.map(({ name }) => name)).toEqual(namesIn('after'));
  });

  test('if no other guard follows, there is one phase', () => {
    const limits = KINDS.map(([name, options]) => limit(name, options));
    const { beforeGuards, afterGuards } = planOf(limits, false);
    expect(beforeGuards.limits).toEqual(limits);
    expect(afterGuards).toBeNull();
  });

  test('a phase is static if none of its limits calls a function of the application', () => {
    const early = limit('early', { when: () => true, phase: 'before-guards' });
    const late = limit('late', { key: 'user' });
    expect(phasesOf([early, late], true)).toEqual([phase(['early'], { isStatic: false }), phase(['late'])]);
    const counted = limit('counted', { countWhen: () => false, methods: ['GET'], block: '1min' });
    expect(phasesOf([counted], false)).toEqual([phase(['counted']), null]);
    const rate = byLoad({ normal: '9/min', elevated: '3/min', critical: null }, () => 'normal');
    expect(phasesOf([limit('load', { rate })], false)).toEqual([phase(['load']), null]);
    const tiers = limit('tiers', { rate: { default: '5/min' } });
    expect(phasesOf([tiers], true)).toEqual([phase([]), phase(['tiers'], { isStatic: false })]);
  });

  test('exempt is called in the last phase, even if that has no limits', () => {
    const [early, late] = [limit('early'), limit('late', { key: 'user' })];
    const last = { isStatic: false, asksExempt: true };
    expect(phasesOf([early, late], true, true)).toEqual([phase(['early']), phase(['late'], last)]);
    expect(phasesOf([early], true, true)).toEqual([phase(['early']), phase([], last)]);
    expect(phasesOf([early, late], false, true)).toEqual([phase(['early', 'late'], last), null]);
  });

  test('a plan is frozen and has the id and name of its route', () => {
    const plan = planOf([limit('a')], true);
    expect([plan.route, Object.isFrozen(plan)]).toEqual(['Shop.get', true]);
  });

  test('refundable has the limits with countWhen of both phases, or is null', () => {
    const early = limit('early', { countWhen: () => true });
    const late = limit('late', { key: 'user', countWhen: () => false });
    expect([...(planOf([early, limit('other'), late], true).refundable ?? [])]).toEqual([
      ['early', early],
      ['late', late],
    ]);
    expect(planOf([limit('other')], true).refundable).toBeNull();
  });

  test('hasShadows and readsUser', () => {
    const facts = (...limits: TestLimit[]) => {
      const { hasShadows, readsUser } = planOf(limits, true);
      return { hasShadows, readsUser };
    };
    expect(facts(limit('a'))).toEqual({ hasShadows: false, readsUser: false });
    expect(facts(limit('a'), limit('b', { shadow: true }))).toEqual({ hasShadows: true, readsUser: false });
    expect(facts(limit('a'), limit('b', { key: 'user|ip' }))).toEqual({ hasShadows: false, readsUser: true });
  });

  test('userOnlyLimit is the first user limit of the route, unless a limit covers anonymous callers', () => {
    const users = limit('users', { key: 'user' });
    const find = (...limits: TestLimit[]) => planOf(limits, true).userOnlyLimit?.name ?? null;
    expect(find(limit('a'), users, limit('more', { key: 'user' }))).toBe('users');
    expect(find(users, limit('anonymous', { key: 'anon' }))).toBeNull();
    expect(find(limit('either', { key: 'user|ip' }))).toBeNull();
    expect(find(limit('module', { key: 'user' }, { isModuleLimit: true }))).toBeNull();
  });
});

describe('limits with an unknown phase', () => {
  const problemsOf = (of: TestLimit) => {
    const errors = new ErrorCollector();
    requirePhase(of, 'JwtGuard', errors);
    return errors.errors;
  };
  const FIX = `Write phase: 'after-guards' if it reads the user whom a guard sets; write phase: 'before-guards' if it reads only the request, so that requests that a guard rejects are limited too.`;

  test('several functions of one limit are one error', () => {
    expect(problemsOf(limit('login', { skipIf: () => false, cost: () => 1, key: () => 'a' }))).toEqual([
      {
        code: 'missing-phase',
        source: 'Shop.login',
        message: `The key and cost and skipIf of the limit "login" are functions or classes of the application, and another guard (JwtGuard) runs after RateLimitGuard, so the user may not be known yet.`,
        fix: FIX,
      },
    ]);
  });

  test('a default key that is a function is an error too', () => {
    const problems = problemsOf(testLimit('a', { rate: '5/min' }, {}, { key: () => 'a' }));
    expect(problems.map(({ code }) => code)).toEqual(['missing-phase']);
  });
});
