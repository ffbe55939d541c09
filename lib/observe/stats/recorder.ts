import type { Outcome } from '../../core/decision.js';
import type { Policy } from '../../core/policy.js';
import {
  emptyHour,
  emptyTally,
  HLL_REGISTERS,
  type HourCounts,
  limitKey,
  type Tally,
} from '../../store/shared-counters.js';
import { type Counter, CounterTable, count } from './counter-table.js';
import { HeavyHitters } from './heavy-hitters.js';
import { registerOf } from './hyperloglog.js';

/** What statistics take of an outcome. */
export type RecordedOutcome = Pick<Outcome, 'allowed' | 'degraded' | 'decisions'>;

/** Clients and users of an hour that are counted one by one: a list of n is right for all who come more than once in so many. */
const TRACKED = 2_000;
/** How many of them a drain takes: more than anybody reads. */
const MAX_TAKEN = 200;
/** A rate from a function may have any number of windows, and each is another tail. */
const MAX_BUCKET_KEYS = 10_000;

/** Counts the requests of the hour that is under way, in bounded memory. Its way is that of every request. */
export class Recorder {
  readonly #routes = new CounterTable();
  readonly #limits = new CounterTable();
  /** Rows of limits by the tails of their policies, which are at hand. */
  readonly #byBucketKey = new Map<string, Counter>();
  readonly #deniedClients = new HeavyHitters(TRACKED);
  readonly #users = new HeavyHitters(TRACKED);
  readonly #clients = new Uint8Array(HLL_REGISTERS);
  /** Registers that have risen since they were drained. */
  #changedRegisters: Uint8Array = new Uint8Array(HLL_REGISTERS);
  #lastClient: string | null = null;
  /** Of all requests since it was made. */
  readonly totals: Tally = emptyTally();
  #isEmpty = true;

  constructor(
    /** Hours since the epoch. */
    public hour: number,
  ) {}

  /** The row of a route, to be kept by who counts. */
  route(name: string): Counter {
    return this.#routes.of(name);
  }

  count(route: Counter, outcome: RecordedOutcome, client: string | null, user: string | null): void {
    const { allowed, degraded, decisions } = outcome;
    this.#isEmpty = false;
    let isShadowDenied = false;
    // No iterator, which would be made for each request.
    for (let at = 0; at < decisions.length; at++) {
      const decision = decisions[at] as (typeof decisions)[number];
      const { policy, shadow } = decision.charge;
      const isShadow = !decision.allowed && shadow;
      if (isShadow) isShadowDenied = true;
      const counter = this.#byBucketKey.get(policy.bucketKey) ?? this.#counterOf(policy);
      this.#limits.count(counter, decision.allowed || shadow, isShadow, degraded);
    }
    this.#routes.count(route, allowed, isShadowDenied, degraded);
    count(this.totals, allowed, isShadowDenied, degraded);
    if (client !== null) {
      if (!allowed) this.#deniedClients.add(client, true);
      if (client !== this.#lastClient) this.#enter(client);
    }
    if (user !== null) this.#users.add(user, !allowed);
  }

  /** What has been counted since the last time; null for nothing. */
  drain(): HourCounts | null {
    if (this.#isEmpty) return null;
    this.#isEmpty = true;
    const drained = emptyHour(this.hour);
    this.#routes.drain(drained.routes);
    this.#limits.drain(drained.limits);
    [drained.clients, this.#changedRegisters] = [this.#changedRegisters, drained.clients];
    for (const { key, count } of this.#deniedClients.drain(MAX_TAKEN)) {
      drained.deniedClients.set(`ip:${key}`, count);
    }
    for (const { key, count, denied } of this.#users.drain(MAX_TAKEN)) {
      drained.users.set(key, { total: count, denied });
    }
    return drained;
  }

  /** Begins another hour, once this one has been drained. */
  begin(hour: number): void {
    this.hour = hour;
    this.#clients.fill(0);
    this.#lastClient = null;
    this.#deniedClients.clear();
    this.#users.clear();
  }

  #counterOf({ name, scope, bucketKey }: Policy): Counter {
    if (this.#byBucketKey.size >= MAX_BUCKET_KEYS) this.#byBucketKey.clear();
    const counter = this.#limits.of(limitKey(name, scope));
    this.#byBucketKey.set(bucketKey, counter);
    return counter;
  }

  #enter(client: string): void {
    this.#lastClient = client;
    const entry = registerOf(client);
    const [index, rank] = [entry >>> 5, entry & 31];
    if (rank <= (this.#clients[index] as number)) return;
    this.#clients[index] = rank;
    this.#changedRegisters[index] = rank;
  }
}
