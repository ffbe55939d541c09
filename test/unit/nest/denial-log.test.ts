import { Logger } from '@nestjs/common';
import { TestClock } from 'nestjs-ratelimit/testing';
import { DenialLog } from '../../../lib/observe/denial-log.js';
import { chargeOf } from '../../support/charges.js';
import { decidedOn } from '../../support/outcomes.js';

const lines: object[] = [];
beforeEach(() => {
  lines.length = 0;
  Logger.overrideLogger({ log() {}, error() {}, warn: (line: object) => lines.push(line) });
});
afterAll(() => Logger.overrideLogger(['log', 'error', 'warn']));

const setUp = () => {
  const clock = new TestClock();
  const log = new DenialLog(clock, 'plain', () => 'hash');
  const deny = (identity: string) => {
    const charge = chargeOf({ identity, limit: 1, windowMs: 60_000 });
    log.denied('Shop.get', decidedOn(charge, { resetMs: 1_500, waitMs: 1_500 }));
  };
  return { clock, deny };
};

test('counts what it left out, and says so in the next line', () => {
  const { clock, deny } = setUp();
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
  const { clock, deny } = setUp();
  for (let i = 0; i < 1_000; i++) deny(`user:${i}`);
  expect(lines).toHaveLength(100);
  clock.advance(60_000);
  deny('user:1');
  expect(lines.slice(100)).toEqual([
    { message: 'Rate limits exceeded by more clients than are logged', denials: 900 },
    expect.objectContaining({ client: 'user:1' }),
  ]);
});
