import { TestClock } from 'nestjs-ratelimit/testing';
import { toOutcome } from '../../../lib/core/decision.js';
import { createDenialLog } from '../../../lib/observe/denial-log.js';
import { type ChargeOptions, chargeOf } from '../../support/charges.js';
import { ALLOWED, decidedOn } from '../../support/outcomes.js';
import { requestDecided, requestFailed } from '../../support/published.js';

const setUp = () => {
  const clock = new TestClock();
  const lines: object[] = [];
  const log = createDenialLog(
    clock,
    'plain',
    () => 'hash',
    (line) => lines.push(line),
  );
  const publish = (options: ChargeOptions, hasShadows = false) => {
    const charge = chargeOf({ limit: 1, windowMs: 60_000, ...options });
    const outcome = toOutcome([decidedOn(charge, { resetMs: 1_500, waitMs: 1_500 })], false);
    log(requestDecided(outcome, { route: 'Shop.get', hasShadows }));
  };
  const deny = (identity: string) => publish({ identity });
  return { clock, lines, log, publish, deny };
};

test('logs denials and shadow denials, and nothing else that is published', () => {
  const { lines, log, publish, deny } = setUp();
  deny('user:1');
  publish({ identity: 'user:2', shadow: true }, true);
  log(requestDecided(ALLOWED));
  log(requestFailed(new Error('no database')));
  log({ kind: 'recovered', afterMs: 1, degraded: 1 });
  expect(lines).toEqual([
    expect.objectContaining({ message: 'Rate limit exceeded', route: 'Shop.get', client: 'user:1' }),
    expect.objectContaining({ message: 'Shadow rate limit exceeded', route: 'Shop.get', client: 'user:2' }),
  ]);
});

test('counts what it left out, and says so in the next line', () => {
  const { clock, lines, deny } = setUp();
  for (let i = 0; i < 42; i++) deny('user:1');
  clock.advance(59_999);
  deny('user:1');
  expect(lines).toEqual([expect.not.objectContaining({ leftOut: expect.anything() })]);
  clock.advance(1);
  deny('user:1');
  expect(lines.slice(1)).toEqual([
    expect.objectContaining({ client: 'user:1', waitSeconds: 2, leftOut: 42 }),
  ]);
});

test('writes no more than a hundred lines a minute, and how many denials had none', () => {
  const { clock, lines, deny } = setUp();
  for (let i = 0; i < 1_000; i++) deny(`user:${i}`);
  expect(lines).toHaveLength(100);
  clock.advance(60_000);
  deny('user:1');
  expect(lines.slice(100)).toEqual([
    { message: 'Rate limits exceeded by more clients than are logged', denials: 900 },
    expect.objectContaining({ client: 'user:1' }),
  ]);
});
