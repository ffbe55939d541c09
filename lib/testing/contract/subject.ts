import assert from 'node:assert/strict';
import type { AlgorithmName } from '../../core/algorithms/index.js';
import type { Charge, Decision } from '../../core/decision.js';
import { definePolicy, type PolicyInput } from '../../core/policy.js';
import type { Rate } from '../../core/rate.js';
import type { Store } from '../../store/store.js';
import type { TestClock } from '../test-clock.js';

/** Behaviours of one topic: each has a sentence, and a check that rejects a store without that behaviour. */
export type Checks = Readonly<Record<string, (subject: Subject) => Promise<void>>>;

/** The parts of a charge that a check can set. */
export type ChargeOptions = Partial<Rate & Omit<PolicyInput, 'rate'> & Omit<Charge, 'policy'>>;

/** Returns a charge; by default of 1 unit, to one bucket of 5 per minute. */
export function charge(options: ChargeOptions = {}): Charge {
  const { identity = 'user:1', cost = 1, shadow = false, blockDurationsMs = [], ...rule } = options;
  const { limit = 5, windowMs = 60_000, name = 'limit', scope = 'scope', algorithm, burst } = rule;
  const blocks = blockDurationsMs.length > 0;
  const policy = definePolicy({ name, scope, rate: { limit, windowMs }, algorithm, burst, blocks });
  return { policy, identity, cost, shadow, blockDurationsMs };
}

/** A store under test, its clock, and the algorithm of charges that do not name one. */
export class Subject {
  constructor(
    readonly store: Store,
    readonly clock: TestClock,
    readonly algorithm?: AlgorithmName,
  ) {}

  async consume(...charges: readonly Charge[]): Promise<readonly Decision[]> {
    return (await this.store.consume(charges)).decisions;
  }

  async one(options: ChargeOptions = {}): Promise<Decision> {
    return (await this.consume(charge({ algorithm: this.algorithm, ...options })))[0] as Decision;
  }

  async peek(options: ChargeOptions = {}): Promise<Decision> {
    const reply = await this.store.peek([charge({ algorithm: this.algorithm, ...options })]);
    return reply.decisions[0] as Decision;
  }

  /** Makes several charges in sequence, and fails if one is denied. */
  async spend(times: number, options: ChargeOptions = {}): Promise<void> {
    for (let i = 0; i < times; i++) assert.equal((await this.one(options)).allowed, true);
  }
}
