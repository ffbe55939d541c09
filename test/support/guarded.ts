import type { Charge, Clock, Decision, StoreReply } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { definePolicy, type PolicyInput } from '../../lib/core/policy.js';
import type { StoreEvent } from '../../lib/resilience/options.js';
import { ResilientStore } from '../../lib/resilience/resilient-store.js';
import { MemoryStore } from '../../lib/store/memory/memory-store.js';
import { CountedClock, HeldStore, type Manner, turn } from './held-store.js';

export const MINUTE = 60_000;

/** A charge of a request under one limit. Default: a charge of 1 to a user at 5 a minute. */
export interface Asked extends Partial<Omit<PolicyInput, 'rate'>> {
  readonly limit?: number;
  readonly windowMs?: number;
  readonly identity?: string;
  readonly cost?: number;
  readonly shadow?: boolean;
  readonly blockDurationsMs?: readonly number[];
}

export const asCharge = ({
  limit = 5,
  windowMs = MINUTE,
  identity = 'user:1',
  cost = 1,
  shadow = false,
  blockDurationsMs = [],
  ...policy
}: Asked = {}): Charge => ({
  policy: definePolicy({ name: 'limit', scope: 'test', ...policy, rate: { limit, windowMs } }),
  identity,
  cost,
  shadow,
  blockDurationsMs,
});

export interface GuardedOptions {
  readonly timeoutMs?: number;
  readonly instances?: number;
  /** Default: so many that no breaker opens. */
  readonly threshold?: number;
  readonly manner?: Manner;
  /** Default: no. */
  readonly shared?: boolean;
  /** By how much the clock of the store is ahead of that of the process. */
  readonly aheadMs?: number;
  readonly shardOf?: (identity: string) => string;
}

/** A store under the eyes of a test, and what guards it. */
export class Guarded {
  readonly clock = new TestClock();
  /** The clock of the process, as the guarded store uses it. */
  readonly counted = new CountedClock(this.clock);
  readonly held: HeldStore;
  readonly store: ResilientStore;
  /** The events of the store. */
  readonly heard: string[] = [];
  /** Why requests were decided without the store. */
  readonly causes: unknown[] = [];
  readonly timeoutMs: number;

  constructor(options: GuardedOptions = {}) {
    const { timeoutMs = 100, instances = 1, threshold = 1_000_000, manner = 'answers' } = options;
    const { aheadMs = 0, shared = false, shardOf } = options;
    const { clock } = this;
    const ofStore: Clock = {
      now: () => clock.now() + aheadMs,
      every: (ms, task) => clock.every(ms, task),
    };
    this.timeoutMs = timeoutMs;
    this.held = new HeldStore(new MemoryStore({ clock: ofStore }), shared, shardOf);
    this.held.manner = manner;
    const settings = { timeoutMs, instances, breaker: { threshold, initialBackoffMs: 100 } };
    const onEvent = (event: StoreEvent) => {
      if (event.kind === 'degraded') {
        this.heard.push(`degraded ${event.charges.map(({ policy }) => policy.name).join(' ')}`);
        this.causes.push(event.cause);
      } else if (event.kind === 'breaker') this.heard.push(`breaker ${event.shard} ${event.state}`);
      else this.heard.push(`recovered ${event.afterMs} ${event.degraded}`);
    };
    this.store = new ResilientStore(this.held, settings, onEvent, this.counted);
  }

  async consume(first: Asked = {}, ...others: readonly Asked[]): Promise<StoreReply> {
    return this.store.consume([first, ...others].map(asCharge));
  }

  async peek(first: Asked = {}, ...others: readonly Asked[]): Promise<StoreReply> {
    return this.store.peek([first, ...others].map(asCharge));
  }

  /** The decision on a request with one limit. */
  async decide(asked: Asked = {}): Promise<Decision> {
    return (await this.consume(asked)).decisions[0] as Decision;
  }

  async look(asked: Asked = {}): Promise<Decision> {
    return (await this.peek(asked)).decisions[0] as Decision;
  }

  /** The verdicts on `count` sequential requests with one limit. */
  async verdicts(count: number, asked: Asked = {}): Promise<boolean[]> {
    const verdicts: boolean[] = [];
    for (let i = 0; i < count; i++) verdicts.push((await this.decide(asked)).allowed);
    return verdicts;
  }

  /** The number of admitted requests of `count`. */
  async admitted(count: number, asked: Asked = {}): Promise<number> {
    return (await this.verdicts(count, asked)).filter(Boolean).length;
  }

  /** The decision that the store itself would make. */
  inStore(asked: Asked = {}): Decision {
    return this.held.inner.peek([asCharge(asked)]).decisions[0] as Decision;
  }

  /** Charges the store as another process does. */
  elsewhere(asked: Asked = {}): Decision {
    return this.held.inner.consume([asCharge(asked)]).decisions[0] as Decision;
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turn();
  }

  /** Lets the time budget of what was asked run out. */
  async expire(): Promise<void> {
    await this.pass(1.1 * this.timeoutMs);
  }

  /** Decides while the store does as `manner` says, its budget over where it has one. */
  async during<T>(manner: Manner, ask: () => Promise<T>): Promise<T> {
    const before = this.held.manner;
    this.held.manner = manner;
    const asked = ask();
    // Else, if it fails before it is awaited, Node would end the process.
    asked.catch(() => undefined);
    await turn();
    if (manner === 'hangs' || manner === 'slow') await this.expire();
    this.held.manner = before;
    return asked;
  }
}
