import { type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { Charge } from '../core/decision.js';
import { toOutcome } from '../core/decision.js';
import { definePolicy } from '../core/policy.js';
import type { RateLimitContext } from '../nest/context/call-context.js';
import { RUNTIME } from '../nest/handlers/tokens.js';
import type { Runtime } from '../nest/request/runtime.js';

/** Callers whom the guards have refused so often try tokens out. */
const POLICY = definePolicy({
  name: 'rate-limit-admin',
  scope: 'rate-limit-admin',
  rate: { limit: 20, windowMs: 60_000 },
});

/**
 * Counts what guards of the admin API refuse, by address, whatever the options of the module are. Under an identity of
 * its own kind, so that no operator who blocks an address is locked out by that.
 */
@Injectable()
export class FailedAttempts {
  constructor(@Inject(RUNTIME) private readonly runtime: Runtime) {}

  /** What `allows` says; throws 429 for who was refused too often, before it is asked. */
  async limited(execution: ExecutionContext, allows: () => Promise<boolean>): Promise<boolean> {
    const context = this.runtime.contextOf(execution) as RateLimitContext;
    const charge: Charge = {
      policy: POLICY,
      identity: `admin:${context.address ?? 'unknown'}`,
      cost: 1,
      shadow: false,
      blockDurationsMs: [],
    };
    const { decisions, degraded } = await this.runtime.parts.store.consume([charge]);
    const outcome = toOutcome(decisions, degraded);
    if (!outcome.allowed) throw this.runtime.responder.denied(context, outcome);
    const isAllowed = await allows();
    // Nobody waits for it: what is not given back ends within a minute.
    if (isAllowed) void this.runtime.giveBack(outcome);
    return isAllowed;
  }
}
