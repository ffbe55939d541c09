import type { Clock } from '../../core/clock.js';
import type { Charge } from '../../core/decision.js';
import type { PartHealth } from '../../core/health.js';
import { Breaker, type BreakerSettings } from './breaker.js';
import { FIRST_PROBE, probeIdentity } from './probe.js';

/** Names what keeps an identity. */
type PartOf = (identity: string) => string;

/** How the breakers reach what they guard. */
export interface GuardedParts {
  /** Undefined for a store that fails as a whole. */
  readonly partOf: PartOf | undefined;
  /** Has the store decide for an identity; resolves when it does as it should. */
  probe(identity: string): Promise<unknown>;
  /** Hears of each change of state; the part is empty for a store that fails as a whole. */
  changed(part: string, breaker: Breaker): void;
}

const WHOLE: readonly string[] = [''];
/** More than it takes to meet every node of a Cluster. */
const PROBE_IDENTITIES = 1_000;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A breaker for each part of a store that can fail by itself. */
export class Breakers {
  readonly #breakers = new Map<string, Breaker>();
  #notClosed = 0;
  #hasEnded = false;

  constructor(
    readonly settings: BreakerSettings,
    readonly clock: Clock,
    readonly guarded: GuardedParts,
  ) {
    if (guarded.partOf === undefined) this.#of('');
  }

  /** Whether all parts are called. */
  get allClosed(): boolean {
    return this.#notClosed === 0;
  }

  /** A breaker that keeps a request from the store; null when none does. */
  inTheWayOf(charges: readonly Charge[]): Breaker | null {
    if (this.#notClosed === 0) return null;
    for (const part of this.#partsOf(charges)) {
      const breaker = this.#of(part);
      if (breaker.state !== 'closed') return breaker;
    }
    return null;
  }

  /** A breaker that keeps calls from what keeps an identity; null when none does. */
  inTheWayTo(identity: string): Breaker | null {
    const breaker = this.#of(this.guarded.partOf?.(identity) ?? '');
    return breaker.state === 'closed' ? null : breaker;
  }

  /** To be told of each answer in time. */
  answered(charges: readonly Charge[], nowMs: number): void {
    for (const part of this.#partsOf(charges)) this.#of(part).answered(nowMs);
  }

  /** To be told of each call that failed, and of when it began. */
  failed(charges: readonly Charge[], error: unknown, startedMs: number): void {
    const breakers = this.#partsOf(charges).map((part) => this.#of(part));
    // Of several that may be to blame, the one that has been silent for longest.
    const [first, ...others] = breakers.sort((a, b) => a.lastAnswerMs - b.lastAnswerMs);
    first?.failed(error, startedMs, others.length > 0);
  }

  /** Opens what keeps an identity: it failed the first time that it was asked. */
  open(identity: string, error: unknown): void {
    const breaker = this.#of(this.guarded.partOf?.(identity) ?? '');
    if (breaker.state === 'closed') breaker.open(error);
  }

  health(): readonly PartHealth[] {
    return [...this.#breakers].map(([part, { state, failures, error, retryAfterMs }]) => ({
      part,
      breaker: state,
      failures,
      error: state === 'closed' ? null : messageOf(error),
      retryAfterMs,
    }));
  }

  /** Probes at once what fails. */
  probeNow(): void {
    for (const breaker of this.#breakers.values()) breaker.probeNow();
  }

  /** Probes no more. */
  end(): void {
    this.#hasEnded = true;
    for (const breaker of this.#breakers.values()) breaker.end();
  }

  #partsOf(charges: readonly Charge[]): readonly string[] {
    const { partOf } = this.guarded;
    if (partOf === undefined) return WHOLE;
    if (charges.length === 0) return [];
    const first = partOf((charges[0] as Charge).identity);
    let parts: string[] | null = null;
    for (let i = 1; i < charges.length; i++) {
      const { identity } = charges[i] as Charge;
      if (identity === (charges[i - 1] as Charge).identity) continue;
      const part = partOf(identity);
      if (part === first || parts?.includes(part)) continue;
      parts = parts === null ? [first, part] : [...parts, part];
    }
    return parts ?? [first];
  }

  #of(part: string): Breaker {
    let breaker = this.#breakers.get(part);
    if (breaker !== undefined) return breaker;
    let wasClosed = true;
    breaker = new Breaker(this.settings, this.clock, {
      probe: () => this.#probe(part),
      changed: (state) => {
        if (wasClosed !== (state === 'closed')) this.#notClosed += wasClosed ? 1 : -1;
        wasClosed = state === 'closed';
        this.guarded.changed(part, breaker as Breaker);
      },
    });
    if (this.#hasEnded) breaker.end();
    this.#breakers.set(part, breaker);
    return breaker;
  }

  async #probe(part: string): Promise<void> {
    const identity = this.#identityIn(part);
    // The part is no more: its identities are kept elsewhere.
    if (identity === null) this.#breakers.delete(part);
    else await this.guarded.probe(identity);
  }

  /** An identity that is kept by a part; null when there is none. */
  #identityIn(part: string): string | null {
    const { partOf } = this.guarded;
    if (partOf === undefined) return FIRST_PROBE;
    for (let at = 0; at < PROBE_IDENTITIES; at++) {
      const identity = probeIdentity(at);
      if (partOf(identity) === part) return identity;
    }
    return null;
  }
}
