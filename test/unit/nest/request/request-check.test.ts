import { EventEmitter } from 'node:events';
import type { Decision } from '../../../../lib/core/decision.js';
import { SKIPPED_OUTCOME, toOutcome } from '../../../../lib/core/decision.js';
import { RequestCheck, staticCharges } from '../../../../lib/nest/request/request-check.js';
import { byLoad, type LoadLevel } from '../../../../lib/plan/load.js';
import { compilePlan } from '../../../../lib/plan/plan.js';
import { MemoryStore } from '../../../../lib/store/memory/memory-store.js';
import { TestClock } from '../../../../lib/testing/index.js';
import { httpContext } from '../../../support/contexts.js';
import { type TestLimit, testLimit } from '../../../support/limits.js';

const REQUEST = { method: 'GET', ip: '203.0.113.7', headers: {} };

describe('static charges', () => {
  const chargesOf = (limits: readonly TestLimit[], request = {}) =>
    staticCharges(limits, httpContext({ ...REQUEST, ...request })).map(
      ({ policy, identity, cost }) => `${policy.name} ${policy.limit} ${identity} ${cost}`,
    );

  test('one for each limit that applies, in their order', () => {
    const limits = [
      testLimit('address', { rate: '5/min', cost: 2 }),
      testLimit('user', { rate: '5/min', key: 'user' }),
      testLimit('none', { rate: 'unlimited' }),
      testLimit('post', { rate: '5/min', methods: ['POST'] }),
      testLimit('get', { rate: '5/min', methods: ['GET'], key: 'global' }),
    ];
    expect(chargesOf(limits)).toEqual(['address 5 ip:203.0.113.7 2', 'get 5 global 1']);
    expect(chargesOf(limits, { method: 'POST', user: { id: 'bob' } })).toEqual([
      'address 5 ip:203.0.113.7 2',
      'user 5 user:bob 1',
      'post 5 ip:203.0.113.7 1',
    ]);
    expect(chargesOf(limits, { method: undefined })).toEqual(['address 5 ip:203.0.113.7 2']);
  });

  test('a rate by load is that of now', () => {
    let level: LoadLevel = 'normal';
    const rates = { normal: '9/min', elevated: '3/min', critical: 'unlimited' } as const;
    const limits = [testLimit('load', { rate: byLoad(rates, () => level) })];
    expect(limits[0]?.isStatic).toBe(true);
    expect(chargesOf(limits)).toEqual(['load 9 ip:203.0.113.7 1']);
    level = 'elevated';
    expect(chargesOf(limits)).toEqual(['load 3 ip:203.0.113.7 1']);
    level = 'critical';
    expect(chargesOf(limits)).toEqual([]);
  });

  test('carry what the store needs besides', () => {
    const limit = testLimit('a', { rate: '5/min', shadow: true, block: '1min' });
    expect(staticCharges([limit], httpContext(REQUEST))[0]).toMatchObject({
      shadow: true,
      blockDurationsMs: [60_000],
    });
  });
});

/** A response as far as the end of a call is read from it. */
class Response extends EventEmitter {
  statusCode = 200;
  headersSent = false;
  writableEnded = false;
  writableFinished = false;
  destroyed = false;

  end(statusCode: number): void {
    Object.assign(this, { statusCode, headersSent: true, writableEnded: true, writableFinished: true });
    this.emit('finish');
    this.emit('close');
  }
}

const setUp = (limits: readonly TestLimit[]) => {
  const plan = compilePlan('Shop.get', limits, true, false);
  if (plan === null) throw new Error('There is no plan.');
  const response = new Response();
  const context = httpContext({ ...REQUEST, user: { id: 'bob' } }, undefined, response);
  const store = new MemoryStore({ clock: new TestClock() });
  const decide = (phase: 'beforeGuards' | 'afterGuards', degraded = false) =>
    toOutcome(store.consume(staticCharges(plan[phase]?.limits ?? [], context)).decisions, degraded);
  const refunded: string[] = [];
  const refund = (decisions: readonly Decision[]) => refunded.push(...decisions.map(({ name }) => name));
  return { check: new RequestCheck(plan, context), decide, response, refund, refunded };
};

const describeAll = (decisions: readonly Decision[]) =>
  decisions.map(
    ({ name, remaining, receipt }) => `${name} ${remaining} ${receipt === null ? 'free' : 'paid'}`,
  );

const early = testLimit('early', { rate: '5/min' });
const late = testLimit('late', { rate: '3/min', key: 'user' });
const deniesLate = testLimit('denies', { rate: '0/min', key: 'user' });

describe('the outcome of a request', () => {
  test('is that of its first phase while there is no other', () => {
    const { check, decide } = setUp([early, late]);
    expect(check.outcome).toBe(SKIPPED_OUTCOME);
    const first = decide('beforeGuards');
    check.add(first);
    expect(check.outcome).toBe(first);
  });

  test('has the decisions of both phases when both admit', () => {
    const { check, decide } = setUp([late, early]);
    check.add(decide('beforeGuards'));
    check.add(decide('afterGuards'));
    expect(describeAll(check.outcome.decisions)).toEqual(['early 4 paid', 'late 2 paid']);
    expect([check.outcome.allowed, check.outcome.decidedBy?.name]).toEqual([true, 'late']);
  });

  test('shows the first phase as given back when the second denies', () => {
    const { check, decide } = setUp([early, deniesLate]);
    check.add(decide('beforeGuards'));
    check.add(decide('afterGuards'));
    expect(describeAll(check.outcome.decisions)).toEqual(['early 5 free', 'denies 0 free']);
    expect([check.outcome.allowed, check.outcome.decidedBy?.name]).toEqual([false, 'denies']);
  });

  test('is that of the first phase where the second has nothing to decide', () => {
    const { check, decide } = setUp([early, late]);
    check.add(decide('beforeGuards'));
    check.add(SKIPPED_OUTCOME);
    expect(describeAll(check.outcome.decisions)).toEqual(['early 4 paid']);
    expect(check.outcome).toMatchObject({ allowed: true, skipped: false });
  });

  test.each([
    [false, false, false],
    [true, false, true],
    [false, true, true],
  ])('is degraded if one phase is: %p, %p', (first, second, expected) => {
    const { check, decide } = setUp([early, late]);
    check.add(decide('beforeGuards', first));
    check.add(decide('afterGuards', second));
    expect(check.outcome.degraded).toBe(expected);
  });
});

describe('the charges of the first phase that are given back', () => {
  const counted = testLimit('counted', {
    rate: '9/min',
    countWhen: (_context, { status }) => status !== 401,
  });

  test('none before anything was decided, nor of limits that charged nothing', () => {
    const { check, decide } = setUp([early, testLimit('free', { rate: '5/min', cost: 0 }), late]);
    expect(check.cancelFirst()).toEqual([]);
    check.add(decide('beforeGuards'));
    expect(check.cancelFirst().map(({ name }) => name)).toEqual(['early']);
  });

  test('are the same after the second phase has denied, although its outcome shows them as given back', () => {
    const { check, decide } = setUp([early, deniesLate]);
    check.add(decide('beforeGuards'));
    check.add(decide('afterGuards'));
    expect(describeAll(check.cancelFirst())).toEqual(['early 4 paid']);
  });

  test('include those with countWhen, which is then not asked at the end of the call', async () => {
    const { check, decide, response, refund, refunded } = setUp([counted, early, late]);
    const first = decide('beforeGuards');
    check.add(first);
    check.deferRefunds(first, refund);
    expect(check.cancelFirst().map(({ name }) => name)).toEqual(['counted', 'early']);
    response.end(401);
    await new Promise(setImmediate);
    expect(refunded).toEqual([]);
  });

  test('exclude those with countWhen once the call has ended: they were given back by then, or count', async () => {
    const { check, decide, response, refund, refunded } = setUp([counted, early, late]);
    const first = decide('beforeGuards');
    check.add(first);
    check.deferRefunds(first, refund);
    response.end(401);
    expect(check.cancelFirst().map(({ name }) => name)).toEqual(['early']);
    await new Promise(setImmediate);
    expect(refunded).toEqual(['counted']);
  });

  test('a phase that is decided after the end of the call is asked about immediately', async () => {
    const lateCounted = testLimit('late', { rate: '9/min', key: 'user', countWhen: () => false });
    const { check, decide, response, refund, refunded } = setUp([counted, lateCounted]);
    const first = decide('beforeGuards');
    check.add(first);
    check.deferRefunds(first, refund);
    response.end(200);
    const second = decide('afterGuards');
    check.add(second);
    check.deferRefunds(second, refund);
    await new Promise(setImmediate);
    expect(refunded).toEqual(['late']);
  });

  test('without countWhen nothing listens to the response', () => {
    const { check, decide, response, refund } = setUp([early]);
    check.deferRefunds(decide('beforeGuards'), refund);
    expect(response.eventNames()).toEqual([]);
  });
});
