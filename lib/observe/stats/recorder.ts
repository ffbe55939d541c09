import type { Decision, Outcome } from '../../core/decision.js';
import type { Policy } from '../../core/policy.js';
import { copyString } from '../../identity/addresses.js';
import { emptyHour, emptyTally, type HourCounts, limitKey, type Tally } from '../../store/shared-counters.js';
import type { PublishedPlan } from '../publisher.js';
import { HeavyHitters } from './heavy-hitters.js';
import type { HyperLogLog } from './hyperloglog.js';
import { totalOf } from './snapshot.js';

/** The part of an outcome that is recorded. */
export type RecordedOutcome = Pick<Outcome, 'allowed' | 'degraded' | 'decisions'>;

/** The route of a plan. */
export type RecordedRoute = Pick<PublishedPlan, 'id' | 'route'>;

/** Outcomes of requests that could not be decided. */
export const FAILED: RecordedOutcome = { allowed: false, degraded: false, decisions: [] };
export const REJECTED_BY_STORE: RecordedOutcome = { allowed: false, degraded: true, decisions: [] };

/** Returns the user that a limit charged by `user` only, not together with something else; null for none. */
export function chargedUser(decisions: readonly Decision[]): string | null {
  for (const { charge } of decisions) {
    if (charge.identity.startsWith('user:') && !charge.identity.includes('+')) return charge.identity;
  }
  return null;
}

/** Counts since the last drain. */
export interface Drained {
  readonly counts: HourCounts;
  /** Clients that raised a register of the hour, by the register: of each only the last, which raised it most. */
  readonly clients: ReadonlyMap<number, string>;
}

/** Clients and users of an hour that are counted one by one: a list of n misses nobody who has more than 1 / n of all. */
const TRACKED = 2_000;
/** Clients and users that a drain takes: more than anybody reads. */
const MAX_DRAINED = 200;
/** Names come from code, so there are few: this is a bound for code that generates them. */
const MAX_NAMES = 5_000;

/** The name under which everything is counted beyond `MAX_NAMES`. */
const OTHER = 'other';

/** Adds one request, or one decision. */
function count(tally: Tally, isAllowed: boolean, isShadowDenied: boolean, isDegraded: boolean): void {
  if (isAllowed) tally.allowed++;
  else tally.denied++;
  if (isShadowDenied) tally.shadowDenied++;
  if (isDegraded) tally.degraded++;
}

/** Counts by name since the last drain. */
class CounterTable {
  readonly #counters = new Map<string, Tally>();

  /** Returns the counter of a name, or that of `OTHER` once there are too many. */
  get(name: string): Tally {
    const counter = this.#counters.get(name);
    if (counter !== undefined) return counter;
    if (this.#counters.size >= MAX_NAMES && name !== OTHER) return this.get(OTHER);
    const created = emptyTally();
    this.#counters.set(name, created);
    return created;
  }

  /** Moves the counts into tallies by name. */
  drain(into: Map<string, Tally>): void {
    for (const [name, counter] of this.#counters) {
      if (totalOf(counter) === 0) continue;
      into.set(name, { ...counter });
      Object.assign(counter, emptyTally());
    }
  }
}

/** Records the requests of the current hour, in bounded memory. Runs with every request. */
export class Recorder {
  readonly #routes = new CounterTable();
  /** Counters of routes, at the ids of their plans. */
  readonly #byPlan: (Tally | undefined)[] = [];
  readonly #limits = new CounterTable();
  /** Counters of limits by their policies: names need not be joined for each request. */
  readonly #byPolicy = new WeakMap<Policy, Tally>();
  #deniedClients = new HeavyHitters(TRACKED);
  #users = new HeavyHitters(TRACKED);
  #newClients = new Map<number, string>();
  #lastClient: string | null = null;
  /** All requests since the start. */
  readonly totals: Tally = emptyTally();

  /**
   * @param hour Hours since the epoch.
   * @param clients The clients of this hour.
   * @param keepsNewClients Whether drains return clients.
   */
  constructor(
    public hour: number,
    public clients: HyperLogLog,
    readonly keepsNewClients: boolean,
  ) {}

  record(route: RecordedRoute, outcome: RecordedOutcome, client: string | null, user: string | null): void {
    const { allowed, degraded, decisions } = outcome;
    let isShadowDenied = false;
    // No iterator, which would be made for each request.
    for (let at = 0; at < decisions.length; at++) {
      const decision = decisions[at] as Decision;
      const { policy, shadow } = decision.charge;
      const isShadow = !decision.allowed && shadow;
      if (isShadow) isShadowDenied = true;
      const counter = this.#byPolicy.get(policy) ?? this.#limitCounter(policy);
      count(counter, decision.allowed || shadow, isShadow, degraded);
    }
    this.#byPlan[route.id] ??= this.#routes.get(route.route);
    count(this.#byPlan[route.id] as Tally, allowed, isShadowDenied, degraded);
    count(this.totals, allowed, isShadowDenied, degraded);
    if (client !== null) {
      if (!allowed) this.#deniedClients.add(client, true);
      if (client !== this.#lastClient) this.#addClient(client);
    }
    if (user !== null) this.#users.add(user, !allowed);
  }

  /** Returns the counts since the last drain; null for none. */
  drain(): Drained | null {
    const counts = emptyHour(this.hour);
    this.#routes.drain(counts.routes);
    if (counts.routes.size === 0) return null;
    this.#limits.drain(counts.limits);
    for (const { key, count } of this.#deniedClients.drain(MAX_DRAINED)) {
      counts.deniedClients.set(`ip:${key}`, count);
    }
    for (const { key, count, denied } of this.#users.drain(MAX_DRAINED)) {
      counts.users.set(key, { total: count, denied });
    }
    const clients = this.#newClients;
    this.#newClients = new Map();
    return { counts, clients };
  }

  /** Begins another hour, after this one has been drained. */
  begin(hour: number, clients: HyperLogLog): void {
    this.hour = hour;
    this.clients = clients;
    this.#lastClient = null;
    this.#deniedClients = new HeavyHitters(TRACKED);
    this.#users = new HeavyHitters(TRACKED);
  }

  #limitCounter(policy: Policy): Tally {
    const counter = this.#limits.get(limitKey(policy.name, policy.scope));
    this.#byPolicy.set(policy, counter);
    return counter;
  }

  #addClient(client: string): void {
    this.#lastClient = client;
    const register = this.clients.add(client);
    if (register >= 0 && this.keepsNewClients) this.#newClients.set(register, copyString(client));
  }
}
