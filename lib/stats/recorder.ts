import type { Outcome } from '../core/decision.js';
import type { Policy } from '../core/policy.js';
import { type HourCounts, limitKey, newHour, newTally, REGISTERS, type Tally } from '../core/statistics.js';
import { HeavyHitters } from './heavy-hitters.js';
import { count, type Row, Rows } from './rows.js';
import { entryOf } from './unique-clients.js';

/** What statistics take of an outcome. */
export type CountedOutcome = Pick<Outcome, 'allowed' | 'degraded' | 'decisions'>;

/** Clients and users of an hour that are counted one by one: a list of n is right for all who come more than once in so many. */
const PLACES = 2_000;
/** How many of them a drain takes: more than anybody reads. */
const MOST_TAKEN = 200;
/** A rate from a function may have any number of windows, and each is another tail. */
const MOST_TAILS = 10_000;

/** Counts the requests of the hour that is under way, in bounded memory. Its way is that of every request. */
export class Recorder {
  readonly #routes = new Rows();
  readonly #limits = new Rows();
  /** Rows of limits by the tails of their policies, which are at hand. */
  readonly #byTail = new Map<string, Row>();
  readonly #deniedClients = new HeavyHitters(PLACES);
  readonly #users = new HeavyHitters(PLACES);
  readonly #clients = new Uint8Array(REGISTERS);
  /** Registers that have risen since they were drained. */
  #risen: Uint8Array = new Uint8Array(REGISTERS);
  #lastClient: string | null = null;
  /** Of all requests since it was made. */
  readonly totals: Tally = newTally();
  #isEmpty = true;

  constructor(
    /** Hours since the epoch. */
    public hour: number,
  ) {}

  /** The row of a route, to be kept by who counts. */
  route(name: string): Row {
    return this.#routes.of(name);
  }

  count(route: Row, outcome: CountedOutcome, client: string | null, user: string | null): void {
    const { allowed, degraded, decisions } = outcome;
    this.#isEmpty = false;
    let isShadowDenied = false;
    // No iterator, which would be made for each request.
    for (let at = 0; at < decisions.length; at++) {
      const decision = decisions[at] as (typeof decisions)[number];
      const { policy, shadow } = decision.charge;
      const isShadow = !decision.allowed && shadow;
      if (isShadow) isShadowDenied = true;
      const row = this.#byTail.get(policy.tail) ?? this.#rowOf(policy);
      this.#limits.count(row, decision.allowed || shadow, isShadow, degraded);
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
    const drained = newHour(this.hour);
    this.#routes.drain(drained.routes);
    this.#limits.drain(drained.limits);
    [drained.clients, this.#risen] = [this.#risen, drained.clients];
    for (const { key, count } of this.#deniedClients.take(MOST_TAKEN)) {
      drained.deniedClients.set(`ip:${key}`, count);
    }
    for (const { key, count, denied } of this.#users.take(MOST_TAKEN)) {
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

  #rowOf({ name, scope, tail }: Policy): Row {
    if (this.#byTail.size >= MOST_TAILS) this.#byTail.clear();
    const row = this.#limits.of(limitKey(name, scope));
    this.#byTail.set(tail, row);
    return row;
  }

  #enter(client: string): void {
    this.#lastClient = client;
    const entry = entryOf(client);
    const [index, rank] = [entry >>> 5, entry & 31];
    if (rank <= (this.#clients[index] as number)) return;
    this.#clients[index] = rank;
    this.#risen[index] = rank;
  }
}
