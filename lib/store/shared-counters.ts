/** Numbers of requests, or of the decisions of a limit, by result. `allowed` and `denied` together are all of them. */
export interface Tally {
  /** Requests that passed. */
  allowed: number;
  /** Requests that were rejected. */
  denied: number;
  /** Requests among all of them that a shadow limit would have denied. */
  shadowDenied: number;
  /** Requests among all of them that were decided without the shared store. */
  degraded: number;
}

/** Identities kept in a list of an hour: the highest counts stay. */
export const MAX_LISTED = 500;

/** Counts of an hour: of one process, of all processes, or those that are still to be written. */
export interface HourCounts {
  /** Hours since the epoch, UTC. */
  readonly hour: number;
  /** By the name of the route. Every request has one, so together they are all requests. */
  readonly routes: Map<string, Tally>;
  /** By the limit's name and scope: see `limitKey`. */
  readonly limits: Map<string, Tally>;
  /** Denials of the clients that were denied most, by address; never more than there were. */
  readonly deniedClients: Map<string, Tally>;
  /** Requests of the users with the most requests, by identity; never more than there were. */
  readonly users: Map<string, Tally>;
}

/** A write to the shared counts. */
export interface CountBatch {
  /** The process that counted. A process that restarts is another writer. */
  readonly writer: string;
  /** Grows from batch to batch of a writer, so that a batch that is sent again is not added again. */
  readonly sequence: number;
  /** Counts to add. */
  readonly counts: HourCounts;
  /** Addresses to add to the unique clients of the hour. Adding one again changes nothing. */
  readonly clients: readonly string[];
}

/** Counts of an hour by all processes. */
export interface SharedCounts {
  /** The sums, including those of the reading process. */
  readonly counts: HourCounts;
  /** Estimate of the addresses that were added. */
  readonly uniqueClients: number;
  /** Sequence of the reading writer's last batch in these counts; 0 for none. */
  readonly applied: number;
}

/** Counts that processes share: a store offers them for statistics. */
export interface SharedCounters {
  /**
   * Adds a batch, in one round trip. A batch that was added before changes nothing.
   *
   * @param keepMs Time that the hour is kept from now on.
   */
  add(batch: CountBatch, keepMs: number): Promise<void>;
  /** Reads the counts of an hour by all processes. */
  read(hour: number, writer: string): Promise<SharedCounts>;
}

export const emptyTally = (): Tally => ({ allowed: 0, denied: 0, shadowDenied: 0, degraded: 0 });

export const emptyHour = (hour: number): HourCounts => ({
  hour,
  routes: new Map(),
  limits: new Map(),
  deniedClients: new Map(),
  users: new Map(),
});

/** Joins a limit's name and scope in one text. Names are printable, so the first line is the name, and the rest the scope. */
export const limitKey = (name: string, scope: string): string => `${name}\n${scope}`;
