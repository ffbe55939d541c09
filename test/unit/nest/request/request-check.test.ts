import { EventEmitter } from 'node:events';
import { toOutcome } from '../../../../lib/core/decision.js';
import { RequestCheck, staticCharges } from '../../../../lib/nest/request/request-check.js';
import { compilePlan } from '../../../../lib/plan/plan.js';
import { MemoryStore } from '../../../../lib/store/memory/memory-store.js';
import { TestClock } from '../../../../lib/testing/index.js';
import { httpContext } from '../../../support/contexts.js';
import { testLimit } from '../../../support/limits.js';

const setUp = () => {
  const limits = [
    testLimit('early', { rate: '5/min' }),
    testLimit('free', { rate: '5/min', cost: 0 }),
    testLimit('late', { rate: '3/min', key: 'user' }),
  ];
  const plan = compilePlan('Shop.get', limits, true, false);
  if (plan === null) throw new Error('There is no plan.');
  const response = new EventEmitter();
  const context = httpContext({ method: 'GET', ip: '203.0.113.7', user: { id: 'bob' } }, undefined, response);
  const store = new MemoryStore({ clock: new TestClock() });
  const decide = (phase: 'beforeGuards' | 'afterGuards', degraded = false) =>
    toOutcome(store.consume(staticCharges(plan[phase]?.limits ?? [], context)).decisions, degraded);
  return { check: new RequestCheck(plan, context), decide, response };
};

test.each([
  [false, false, false],
  [true, false, true],
  [false, true, true],
])('phases with degraded %p and %p: the outcome has %p', (first, second, expected) => {
  const { check, decide } = setUp();
  check.add(decide('beforeGuards', first));
  check.add(decide('afterGuards', second));
  expect(check.outcome.degraded).toBe(expected);
});

test('only limits that charged something are refunded', () => {
  const { check, decide } = setUp();
  expect(check.cancelFirst()).toEqual([]);
  check.add(decide('beforeGuards'));
  expect(check.cancelFirst().map(({ name }) => name)).toEqual(['early']);
});

test('without countWhen, no listener is added to the response', () => {
  const { check, decide, response } = setUp();
  check.deferRefunds(decide('beforeGuards'), () => undefined);
  expect(response.eventNames()).toEqual([]);
});

test('static limits with methods do not apply to a call without a method', () => {
  const limits = [testLimit('get', { rate: '5/min', methods: ['GET'] }), testLimit('all', { rate: '5/min' })];
  const namesFor = (method: string | undefined) =>
    staticCharges(limits, httpContext({ method, ip: '203.0.113.7' })).map(({ policy }) => policy.name);
  expect([namesFor('HEAD'), namesFor('POST'), namesFor(undefined)]).toEqual([
    ['get', 'all'],
    ['all'],
    ['all'],
  ]);
});
