import type { Outcome } from '../../core/decision.js';
import type { Policy } from '../../core/policy.js';
import { copyString } from '../../identity/addresses.js';
import { emptyHour, type HourCounts, limitKey, type Tally } from '../../store/shared-counters.js';
import { HeavyHitters } from './heavy-hitters.js';
import type { HyperLogLog } from './hyperloglog.js';
import { tallyOf } from './snapshot.js';

/** The part of an outcome that is recorded. */
export type RecordedOutcome = Pick<Outcome, 'allowed' | 'degraded' | 'decisions'>;

/** Counts since the last drain. */
export interface Drained {
  readonly counts: HourCounts;
  /** Clients that raised a register of the hour: some 100,000 in an hour, even of a million clients of junk. */
  readonly clients: string[];
}

/** Clients and users of an hour that are counted one by one: a list of n misses nobody who has more than 1 / n of all. */
const TRACKED = 2_000;
/** Clients and users that a drain takes: more than anybody reads. */
const MAX_DRAINED = 200;

/** Adds one request, or one decision. */
function count(tally: Tally, isAllowed: boolean, isShadowDenied: boolean, isDegraded: boolean): void {
  if (isAllowed) tally.allowed++;
  else tally.denied++;
  if (isShadowDenied) tally.shadowDenied++;
  if (isDegraded) tally.degraded++;
}

/** Records the requests of an hour, in bounded memory. Runs with every request. */
export class Recorder {
  #counts;
  /** Tallies of limits by their policies: names need not be joined for each request. */
  #byPolicy = new WeakMap<Policy, Tally>();
  readonly #deniedClients = new HeavyHitters(TRACKED);
  readonly #users = new HeavyHitters(TRACKED);
  #newClients: string[] = [];
  #lastClient: string | null = null;

  /**
   * @param hour Hours since the epoch.
   * @param clients The clients of this hour.
   * @param keepsNewClients Whether drains return clients.
   */
  constructor(
    readonly hour: number,
    readonly clients: HyperLogLog,
    readonly keepsNewClients: boolean,
  ) {
    this.#counts = emptyHour(hour);
  }

  record(route: string, outcome: RecordedOutcome, client: string | null, user: string | null): void {
    const { degraded, decisions } = outcome;
    let isShadowDenied = false;
    for (const { allowed, charge } of decisions) {
      const isShadow = !allowed && charge.shadow;
      if (isShadow) isShadowDenied = true;
      count(this.#limitTally(charge.policy), allowed || isShadow, isShadow, degraded);
    }
    count(tallyOf(this.#counts.routes, route), outcome.allowed, isShadowDenied, degraded);
    if (user !== null) this.#users.add(user, !outcome.allowed);
    if (client === null) return;
    if (!outcome.allowed) this.#deniedClients.add(client, true);
    if (client !== this.#lastClient) this.#addClient(client);
  }

  /** Returns the counts since the last drain; null for none. */
  drain(): Drained | null {
    const counts = this.#counts;
    if (counts.routes.size === 0) return null;
    const clients = this.#newClients;
    this.#counts = emptyHour(this.hour);
    this.#byPolicy = new WeakMap();
    this.#newClients = [];
    const deniedClients = this.#deniedClients.drain(MAX_DRAINED);
    return { counts: { ...counts, deniedClients, users: this.#users.drain(MAX_DRAINED) }, clients };
  }

  #limitTally(policy: Policy): Tally {
    const existing = this.#byPolicy.get(policy);
    if (existing !== undefined) return existing;
    const tally = tallyOf(this.#counts.limits, limitKey(policy.name, policy.scope));
    this.#byPolicy.set(policy, tally);
    return tally;
  }

  #addClient(client: string): void {
    this.#lastClient = client;
    if (this.clients.add(client) && this.keepsNewClients) this.#newClients.push(copyString(client));
  }
}
