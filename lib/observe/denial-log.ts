import { type LRU, lru } from 'tiny-lru';
import type { Clock } from '../core/clock.js';
import { type Decision, isShadowDenial } from '../core/decision.js';
import { REPORT_INTERVAL_MS } from '../core/error-reporter.js';
import { formatRate } from '../http/duration-words.js';
import type { Hasher } from '../identity/hash.js';
import { identityKind } from '../identity/identity.js';
import type { Published } from './publisher.js';

/** Form of the identities of denied clients in the log. */
export type LogIdentities = 'plain' | 'hashed' | 'none';

const MAX_CLIENTS = 10_000;
/** Lines a minute: only a flood denies more clients than these at a time. */
const MAX_LINES = 100;

interface LogRecord {
  readonly loggedAtMs: number;
  suppressed: number;
}

/** Logs denials: one line a minute for each client and limit, with a count of the denials left out since the last one. */
export class DenialLog {
  readonly #records: LRU<LogRecord> = lru(MAX_CLIENTS);
  #minuteStartMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #suppressed = 0;

  constructor(
    readonly clock: Clock,
    readonly identities: LogIdentities,
    readonly hash: Hasher,
    readonly warn: (line: object) => void,
  ) {}

  readonly onPublished = (event: Published): void => {
    if (event.kind !== 'request' || event.outcome === null) return;
    const { plan, outcome } = event;
    if (!outcome.allowed && outcome.decidedBy !== null) {
      this.#log('Rate limit exceeded', plan.route, outcome.decidedBy);
    }
    if (!plan.hasShadows) return;
    for (const decision of outcome.decisions) {
      if (isShadowDenial(decision)) this.#log('Shadow rate limit exceeded', plan.route, decision);
    }
  };

  #log(message: string, route: string, decision: Decision): void {
    const { identity, policy } = decision.charge;
    const client = `${identity} ${policy.bucketKey}`;
    const nowMs = this.clock.now();
    const record = this.#records.get(client);
    if (record !== undefined && nowMs - record.loggedAtMs < REPORT_INTERVAL_MS) {
      record.suppressed++;
      return;
    }
    if (!this.#hasRoom(nowMs)) {
      this.#suppressed++;
      return;
    }
    this.#records.set(client, { loggedAtMs: nowMs, suppressed: 0 });
    this.warn({
      message,
      limit: policy.name,
      rate: formatRate(policy),
      waitSeconds: decision.retryAfterMs === null ? null : Math.ceil(decision.retryAfterMs / 1_000),
      route,
      ...this.#clientField(identity),
      ...(record === undefined || record.suppressed === 0 ? {} : { leftOut: record.suppressed }),
    });
  }

  #hasRoom(nowMs: number): boolean {
    if (nowMs - this.#minuteStartMs >= REPORT_INTERVAL_MS) {
      if (this.#suppressed > 0) {
        this.warn({
          message: 'Rate limits exceeded by more clients than are logged',
          denials: this.#suppressed,
        });
      }
      this.#minuteStartMs = nowMs;
      this.#lines = 0;
      this.#suppressed = 0;
    }
    return ++this.#lines <= MAX_LINES;
  }

  #clientField(identity: string): { readonly client?: string } {
    if (this.identities === 'none') return {};
    if (this.identities === 'plain') return { client: identity };
    return { client: `${identityKind(identity)}:${this.hash(identity)}` };
  }
}
