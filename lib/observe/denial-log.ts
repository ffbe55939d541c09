import { lru } from 'tiny-lru';
import type { Clock } from '../core/clock.js';
import { type Decision, isShadowDenial } from '../core/decision.js';
import { REPORT_INTERVAL_MS } from '../core/error-reporter.js';
import { formatRate } from '../http/duration-words.js';
import type { Hasher } from '../identity/hash.js';
import { identityKind } from '../identity/identity.js';
import type { Subscriber } from './publisher.js';

/** Form of the identities of denied clients in the log. */
export type LogIdentities = 'plain' | 'hashed' | 'none';

const MAX_CLIENTS = 10_000;
/** Lines a minute: only a flood denies more clients than these at a time. */
const MAX_LINES = 100;

interface LogRecord {
  readonly loggedAtMs: number;
  suppressed: number;
}

/**
 * Creates a subscriber that logs denials: one line a minute for each client and limit, with a count of the denials left
 * out since the last one.
 */
export function createDenialLog(
  clock: Clock,
  identities: LogIdentities,
  hash: Hasher,
  warn: (line: object) => void,
): Subscriber {
  const records = lru<LogRecord>(MAX_CLIENTS);
  let minuteStartMs = Number.NEGATIVE_INFINITY;
  let lines = 0;
  let suppressed = 0;

  const hasRoom = (nowMs: number): boolean => {
    if (nowMs - minuteStartMs >= REPORT_INTERVAL_MS) {
      if (suppressed > 0) {
        warn({ message: 'Rate limits exceeded by more clients than are logged', denials: suppressed });
      }
      minuteStartMs = nowMs;
      lines = suppressed = 0;
    }
    return ++lines <= MAX_LINES;
  };

  const clientField = (identity: string): { readonly client?: string } => {
    if (identities === 'none') return {};
    return { client: identities === 'plain' ? identity : `${identityKind(identity)}:${hash(identity)}` };
  };

  const log = (message: string, route: string, { charge, retryAfterMs }: Decision): void => {
    const { identity, policy } = charge;
    const client = `${identity} ${policy.bucketKey}`;
    const nowMs = clock.now();
    const record = records.get(client);
    if (record !== undefined && nowMs - record.loggedAtMs < REPORT_INTERVAL_MS) {
      record.suppressed++;
      return;
    }
    if (!hasRoom(nowMs)) {
      suppressed++;
      return;
    }
    records.set(client, { loggedAtMs: nowMs, suppressed: 0 });
    warn({
      message,
      limit: policy.name,
      rate: formatRate(policy),
      waitSeconds: retryAfterMs === null ? null : Math.ceil(retryAfterMs / 1_000),
      route,
      ...clientField(identity),
      ...(record?.suppressed ? { leftOut: record.suppressed } : {}),
    });
  };

  return (event) => {
    if (event.kind !== 'request' || event.outcome === null) return;
    const { plan, outcome } = event;
    if (!outcome.allowed && outcome.decidedBy !== null) {
      log('Rate limit exceeded', plan.route, outcome.decidedBy);
    }
    if (!plan.hasShadows) return;
    for (const decision of outcome.decisions) {
      if (isShadowDenial(decision)) log('Shadow rate limit exceeded', plan.route, decision);
    }
  };
}
