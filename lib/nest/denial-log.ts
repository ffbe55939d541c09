import { Logger } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import type { Decision } from '../core/decision.js';
import { rateInWords } from '../http/seconds.js';
import type { Hash } from '../key/hash.js';
import { kindOf } from '../key/identity.js';
import { QUIET_MS } from '../plan/report.js';

/** How identities of denied clients stand in the log. */
export type LogIdentities = 'plain' | 'hashed' | 'none';

/** Clients of which it is remembered when they were logged; beyond them the oldest are forgotten. */
const MOST_CLIENTS = 10_000;
/** Lines a minute: more clients than these are denied at a time only in a flood. */
const MOST_LINES = 100;

interface Logged {
  readonly atMs: number;
  leftOut: number;
}

/** Logs what limits deny: one line a minute for each client and limit, with a count of those left out. */
export class DenialLog {
  readonly #logger = new Logger('RateLimit');
  readonly #logged = new Map<string, Logged>();
  #minuteMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #unlogged = 0;

  constructor(
    readonly clock: Clock,
    readonly identities: LogIdentities,
    readonly hash: Hash,
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
    const client = `${identity} ${policy.tail}`;
    const nowMs = this.clock.now();
    const before = this.#logged.get(client);
    if (before !== undefined && nowMs - before.atMs < QUIET_MS) {
      before.leftOut++;
      return;
    }
    if (!this.#hasRoom(nowMs)) {
      this.#unlogged++;
      return;
    }
    // To the end, since the first is forgotten first.
    this.#logged.delete(client);
    this.#logged.set(client, { atMs: nowMs, leftOut: 0 });
    if (this.#logged.size > MOST_CLIENTS) this.#logged.delete(this.#logged.keys().next().value as string);
    this.#logger.warn({
      message,
      limit: policy.name,
      rate: rateInWords(policy),
      waitSeconds: decision.retryAfterMs === null ? null : Math.ceil(decision.retryAfterMs / 1_000),
      route,
      ...this.#clientOf(identity),
      ...(before === undefined || before.leftOut === 0 ? {} : { leftOut: before.leftOut }),
    });
  }

  #hasRoom(nowMs: number): boolean {
    if (nowMs - this.#minuteMs >= QUIET_MS) {
      if (this.#unlogged > 0) {
        this.#logger.warn({
          message: 'Rate limits exceeded by more clients than are logged',
          denials: this.#unlogged,
        });
      }
      this.#minuteMs = nowMs;
      this.#lines = 0;
      this.#unlogged = 0;
    }
    return ++this.#lines <= MOST_LINES;
  }

  #clientOf(identity: string): { readonly client?: string } {
    if (this.identities === 'none') return {};
    if (this.identities === 'plain') return { client: identity };
    return { client: `${kindOf(identity)}:${this.hash(identity)}` };
  }
}
