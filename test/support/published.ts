import type { Outcome } from 'nestjs-ratelimit';
import type { PublishedPlan, RequestDecided } from '../../lib/observe/publisher.js';

const PLAN: PublishedPlan = { route: 'Route.get', hasShadows: false };
const CALLER = { address: '203.0.113.7', transport: 'http' };

/** The event about a request whose limits have been decided. */
export const requestDecided = (outcome: Outcome, plan: Partial<PublishedPlan> = {}): RequestDecided => ({
  kind: 'request',
  plan: { ...PLAN, ...plan },
  caller: CALLER,
  outcome,
  error: undefined,
  isComplete: true,
  durationMs: 1,
});

/** The event about a request whose limits could not be decided. */
export const requestFailed = (error: unknown): RequestDecided => ({
  kind: 'request',
  plan: PLAN,
  caller: CALLER,
  outcome: null,
  error,
  isComplete: true,
  durationMs: 1,
});
