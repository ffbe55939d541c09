import type { AlgorithmName, Charge } from 'nestjs-ratelimit';
import { definePolicy } from '../../lib/core/policy.js';

export interface ChargeOptions {
  readonly identity?: string;
  readonly name?: string;
  readonly limit?: number;
  readonly windowMs?: number;
  readonly algorithm?: AlgorithmName;
  readonly cost?: number;
  readonly shadow?: boolean;
  readonly blockMs?: number;
}

/** A charge of 1 to a user at 5 an hour, but for what is said. */
export function chargeOf({
  identity = 'user:1',
  name = 'limit',
  limit = 5,
  windowMs = 3_600_000,
  algorithm,
  cost = 1,
  shadow = false,
  blockMs = 0,
}: ChargeOptions = {}): Charge {
  const policy = definePolicy({ name, scope: 'test', rate: { limit, windowMs }, algorithm });
  return { policy, identity, cost, shadow, blockDurationsMs: blockMs === 0 ? [] : [blockMs] };
}
