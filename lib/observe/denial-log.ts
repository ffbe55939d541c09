import { Logger } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import type { Decision } from '../core/decision.js';
import { REPORT_INTERVAL_MS } from '../core/error-reporter.js';
import { formatRate } from '../http/duration-words.js';
import type { Hasher } from '../identity/hash.js';
import { identityKind } from '../identity/identity.js';

/** How identities of denied clients stand in the log. */
export type LogIdentities = 'plain' | 'hashed' | 'none';

/** Clients of which it is remembered when they were logged; beyond them the oldest are forgotten. */
const MAX_CLIENTS = 10_000;
/** Lines a minute: more clients than these are denied at a time only in a flood. */
const MAX_LINES = 100;

interface LogRecord {
  readonly atMs: number;
  leftOut: number;
}

/** Logs what limits deny: one line a minute for each client and limit, with a count of those left out. */
export class DenialLog {
  readonly #logger = new Logger('RateLimit');
  readonly #records = new Map<string, LogRecord>();
  #minuteMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #suppressed = 0;

  constructor(
    readonly clock: Clock,
    readonly identities: LogIdentities,
    readonly hash: Hasher,
  ) {}

  /** Logs the denial of a request by `decision`, which binds. */
  denied(route: string, decision: Decision): void {
    this.#log('Rate limit exceeded', route, decision);
  }

  /** Logs what a limit that only reports would have denied. */
  shadowDenied(route: string, decision: Decision): void {
    this.#log('Rate limit would have been exceeded, had it been in force', route, decision);
  }

  #log(message: string, route: string, decision: Decision): void {
    const { identity, policy } = decision.charge;
    const client = `${identity} ${policy.bucketKey}`;
    const nowMs = this.clock.now();
    const before = this.#records.get(client);
    if (before !== undefined && nowMs - before.atMs < REPORT_INTERVAL_MS) {
      before.leftOut++;
      return;
    }
    if (!this.#hasRoom(nowMs)) {
      this.#suppressed++;
      return;
    }
    // To the end, since the first is forgotten first.
    this.#records.delete(client);
    this.#records.set(client, { atMs: nowMs, leftOut: 0 });
    if (this.#records.size > MAX_CLIENTS) this.#records.delete(this.#records.keys().next().value as string);
    this.#logger.warn({
      message,
      limit: policy.name,
      rate: formatRate(policy),
      waitSeconds: decision.retryAfterMs === null ? null : Math.ceil(decision.retryAfterMs / 1_000),
      route,
      ...this.#clientOf(identity),
      ...(before === undefined || before.leftOut === 0 ? {} : { leftOut: before.leftOut }),
    });
  }

  #hasRoom(nowMs: number): boolean {
    if (nowMs - this.#minuteMs >= REPORT_INTERVAL_MS) {
      if (this.#suppressed > 0) {
        this.#logger.warn({
          message: 'Rate limits exceeded by more clients than are logged',
          denials: this.#suppressed,
        });
      }
      this.#minuteMs = nowMs;
      this.#lines = 0;
      this.#suppressed = 0;
    }
    return ++this.#lines <= MAX_LINES;
  }

  #clientOf(identity: string): { readonly client?: string } {
    if (this.identities === 'none') return {};
    if (this.identities === 'plain') return { client: identity };
    return { client: `${identityKind(identity)}:${this.hash(identity)}` };
  }
}
