/** What became of requests, or of the decisions of a limit. All that came is `allowed` and `denied` together. */
export interface Tally {
  /** Requests that went on. */
  allowed: number;
  /** Requests that were turned away. */
  denied: number;
  /** Of these, how many a shadow limit would have denied. */
  shadowDenied: number;
  /** Of these, how many were decided without the shared store. */
  degraded: number;
}

/** What a user has asked for. */
export interface UserTally {
  /** Requests, those that were denied among them. */
  total: number;
  /** Of these, how many were denied. */
  denied: number;
}

/** Registers of the estimate of unique clients: so many bytes, each the highest rank that was seen. */
export const HLL_REGISTERS = 4_096;

/** The most identities that a list of an hour is kept at: beyond it go those that are counted least. */
export const MAX_LISTED = 500;

/** What was counted in an hour: by one process, by all of them, or as much as is still to be written. */
export interface HourCounts {
  /** Hours since the epoch, UTC. */
  readonly hour: number;
  /** By the name of the route. Every request has one, so that together they are all requests. */
  readonly routes: Map<string, Tally>;
  /** By the limit's name and scope: see `limitKey`. */
  readonly limits: Map<string, Tally>;
  /** `HLL_REGISTERS` registers, of which two sets are put together by the higher of each. */
  clients: Uint8Array;
  /** Denials of the clients that were denied most, by identity: never more than there were. */
  readonly deniedClients: Map<string, number>;
  /** The users who asked most, by identity: never more than they did. */
  readonly users: Map<string, UserTally>;
}

/** What a process adds to the shared counts in one write. */
export interface CountBatch {
  /** Who counted: one of its kind for each process, and each start. */
  readonly writer: string;
  /** Grows from batch to batch of a writer, so that one that is sent again is not added again. */
  readonly sequence: number;
  /** What it adds. */
  readonly counts: HourCounts;
}

/** What all processes have counted in an hour. */
export interface SharedCounts {
  /** The sums, those of the asking process among them. */
  readonly counts: HourCounts;
  /** The sequence of the last batch of the asking writer that is in them; 0 for none. */
  readonly applied: number;
}

/** Counts that processes share: what a store offers for statistics. */
export interface SharedCounters {
  /**
   * Adds a batch, in one round trip. One that was added before changes nothing.
   *
   * @param keepMs For how many milliseconds the hour is kept from now on.
   */
  add(batch: CountBatch, keepMs: number): Promise<void>;
  /** What all processes have counted in an hour. */
  read(hour: number, writer: string): Promise<SharedCounts>;
}

export const emptyTally = (): Tally => ({ allowed: 0, denied: 0, shadowDenied: 0, degraded: 0 });

export const emptyHour = (hour: number): HourCounts => ({
  hour,
  routes: new Map(),
  limits: new Map(),
  clients: new Uint8Array(HLL_REGISTERS),
  deniedClients: new Map(),
  users: new Map(),
});

/** A limit as one text: names are printable, so that the first line is the name, and the rest the scope. */
export const limitKey = (name: string, scope: string): string => `${name}\n${scope}`;
