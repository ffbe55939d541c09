import type { Charge } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { describeDetail } from '../../../lib/core/error-reporter.js';
import type { BreakerState } from '../../../lib/resilience/circuit-breaker.js';
import { createOutageLog } from '../../../lib/resilience/outage-log.js';
import { asCharge } from '../../support/guarded.js';
import { DOWN } from '../../support/held-store.js';

const setUp = () => {
  const said: string[] = [];
  const clock = new TestClock();
  const onEvent = createOutageLog(
    (source, message, detail) => said.push(`${source}: ${message} ${describeDetail(detail)}`),
    (what) => said.push(what),
    clock,
  );
  const log = {
    degraded: (charges: readonly Charge[], cause: unknown) => onEvent({ kind: 'degraded', charges, cause }),
    breaker: (shard: string, state: BreakerState, cause: unknown) =>
      onEvent({ kind: 'breaker', shard, state, cause }),
    recovered: (afterMs: number, degraded: number) => onEvent({ kind: 'recovered', afterMs, degraded }),
  };
  return { said, log, clock };
};

const FAILS =
  'store: The store is failing. Limits are decided without it, by their failMode. Cause: "store is down"';
const FAILED =
  'store: The store failed a request. Its limits were decided by their failMode. Cause: "store is down"';

describe('the log of outages', () => {
  test('says of requests that the store has failed them, and why', () => {
    const { said, log } = setUp();
    log.degraded([asCharge()], DOWN);
    log.degraded([asCharge()], DOWN);
    expect(said).toEqual([FAILED, FAILED]);
  });

  test('says nothing of a request for which this process had no room left after an outage', () => {
    const { said, log } = setUp();
    log.degraded([asCharge()], null);
    expect(said).toEqual([]);
  });

  test('says of an outage when it begins and when it ends, and nothing of requests meanwhile', () => {
    const { said, log } = setUp();
    log.breaker('', 'open', DOWN);
    for (let i = 0; i < 3; i++) {
      log.degraded([asCharge()], DOWN);
      log.breaker('', 'half-open', DOWN);
      log.breaker('', 'open', DOWN);
    }
    expect(said).toEqual([FAILS]);
    log.breaker('', 'half-open', DOWN);
    log.breaker('', 'closed', undefined);
    log.recovered(1_001, 12);
    expect(said.slice(1)).toEqual([
      'store: The store works again after 2 s. Requests decided without it: 12.',
    ]);
  });

  test('says of the next outage and of requests after one again, a minute later', () => {
    const { said, log, clock } = setUp();
    log.breaker('', 'open', DOWN);
    log.breaker('', 'closed', undefined);
    log.degraded([asCharge()], DOWN);
    clock.advance('1min');
    log.breaker('', 'open', DOWN);
    expect(said).toEqual([FAILS, FAILED, FAILS]);
  });

  test('counts outages that follow each other in a minute, and tells of the one that lasts', () => {
    const { said, log, clock } = setUp();
    const outage = () => {
      log.breaker('', 'open', DOWN);
      log.breaker('', 'closed', undefined);
      log.recovered(1, 1);
    };
    for (let i = 0; i < 5; i++) outage();
    expect(said.splice(0)).toEqual([
      FAILS,
      'store: The store works again after 1 s. Requests decided without it: 1.',
    ]);
    log.breaker('', 'open', DOWN);
    clock.advance('1min');
    log.breaker('', 'half-open', DOWN);
    log.breaker('', 'open', DOWN);
    log.breaker('', 'closed', undefined);
    log.recovered(60_000, 7);
    expect(said).toEqual([
      FAILS,
      'store: The store works again after 60 s. Requests decided without it: 7. Outages since the last report that were not logged: 4.',
    ]);
  });

  test('names the nodes of a Cluster, each once', () => {
    const { said, log } = setUp();
    log.breaker('10.0.0.1:6379', 'open', DOWN);
    log.breaker('10.0.0.2:6379', 'open', DOWN);
    log.breaker('10.0.0.1:6379', 'half-open', DOWN);
    log.breaker('10.0.0.1:6379', 'closed', undefined);
    log.breaker('10.0.0.2:6379', 'half-open', DOWN);
    log.breaker('10.0.0.2:6379', 'open', DOWN);
    // One of them fails still.
    log.degraded([asCharge()], DOWN);
    expect(said).toEqual([1, 2].map((i) => FAILS.replace('The store', `The store at 10.0.0.${i}:6379`)));
  });
});
