import assert from 'node:assert/strict';
import type { AlgorithmName } from '../../core/algorithms/index.js';
import type { Charge, Decision } from '../../core/decision.js';
import { definePolicy } from '../../core/policy.js';
import type { Store } from '../../store/store.js';
import type { TestClock } from '../test-clock.js';

/** The parts of a charge that a check can set. */
export interface ChargeOptions {
  readonly limit?: number;
  readonly windowMs?: number;
  readonly burst?: number;
  readonly algorithm?: AlgorithmName;
  readonly scope?: string;
  readonly name?: string;
  readonly identity?: string;
  readonly cost?: number;
  readonly shadow?: boolean;
  readonly blockDurationsMs?: number | readonly number[];
}

/** Returns a charge; by default of 1 unit, to one bucket of 5 per minute. */
export function charge({
  limit = 5,
  windowMs = 60_000,
  name = 'limit',
  scope = 'scope',
  identity = 'user:1',
  cost = 1,
  shadow = false,
  blockDurationsMs = [],
  algorithm,
  burst,
}: ChargeOptions = {}): Charge {
  const policy = definePolicy({ name, scope, rate: { limit, windowMs }, algorithm, burst });
  return {
    policy,
    identity,
    cost,
    shadow,
    blockDurationsMs: typeof blockDurationsMs === 'number' ? [blockDurationsMs] : blockDurationsMs,
  };
}

/** A store under test, and its clock. */
export class Subject {
  constructor(
    readonly store: Store,
    readonly clock: TestClock,
  ) {}

  async consume(...charges: readonly Charge[]): Promise<readonly Decision[]> {
    return (await this.store.consume(charges)).decisions;
  }

  async one(options: ChargeOptions = {}): Promise<Decision> {
    return (await this.consume(charge(options)))[0] as Decision;
  }

  async peek(options: ChargeOptions = {}): Promise<Decision> {
    return (await this.store.peek([charge(options)])).decisions[0] as Decision;
  }

  /** Makes several charges in sequence, and fails if one is denied. */
  async spend(times: number, options: ChargeOptions = {}): Promise<void> {
    for (let i = 0; i < times; i++) assert.equal((await this.one(options)).allowed, true);
  }
}
