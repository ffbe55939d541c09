import type { Awaitable } from '../core/awaitable.js';
import { brand } from '../core/brand.js';
import type { Charge, Decision } from '../core/decision.js';
import type { SharedCounters } from './shared-counters.js';

/** What a store answers: the decisions in the order of the charges. */
export interface StoreReply {
  /** While the store fails, those on limits with `failMode: 'open'` are left out. */
  readonly decisions: readonly Decision[];
  /** Whether they were made without the shared store. */
  readonly degraded: boolean;
}

/** An identity, of one scope or of all. */
export interface StoreTarget {
  /** As `kind:value`, such as `ip:203.0.113.7`. */
  readonly identity: string;
  /** Default: every scope. */
  readonly scope?: string | undefined;
}

/**
 * Keeps buckets and decides atomically. The contract that every backend meets, and that
 * `storeContract` of `nestjs-ratelimit/testing` checks. A store that answers at once returns its value,
 * not a promise of it: then the guard answers at once too.
 */
export interface Store {
  /** Whether other processes decide on the same buckets. They must then write identities alike. Default: no. */
  readonly shared?: boolean;
  /** Under what identities are hashed where the module says nothing else. */
  readonly secret?: string | undefined;
  /**
   * Decides all charges of one request together: they are written when every charge that is not a
   * shadow is admitted, else none is. Charges name different buckets. A shadow charge is written when
   * the request passes and its own limit admits it. A cost of 0 passes uncharged, unless the limit is 0
   * or the bucket blocked. A denial by a charge with `blockDurationsMs` blocks that bucket, unless it is blocked
   * already or the wait is for ever.
   */
  consume(charges: readonly Charge[]): Awaitable<StoreReply>;
  /** What {@link Store.consume} would answer now; writes nothing. */
  peek(charges: readonly Charge[]): Awaitable<StoreReply>;
  /**
   * Gives back what was charged and still counts, into the window or sub-window it was charged to, so
   * that no room comes up that the limit does not have. The caller gives each decision once.
   */
  refund(decisions: readonly Decision[]): Awaitable<void>;
  /** Forgets charges and blocks of the identity's buckets. */
  reset(target: StoreTarget): Awaitable<void>;
  /** Denies every charge to the identity for `forMs` from now on. */
  block(identity: string, forMs: number): Awaitable<void>;
  /** Ends the identity's blocks, those that denials started included. */
  unblock(identity: string): Awaitable<void>;
  /** Connects, so that the first request need not wait for it. Called when the application starts. */
  open?(): Awaitable<void>;
  /** Calls `listener` whenever it has connected anew: then one that failed is worth a probe at once. */
  onReady?(listener: () => void): void;
  /**
   * What keeps an identity, where parts of the store can fail by themselves: of a Cluster the node. Calls to
   * a part that fails stop, those to the others go on. Default: there is but one.
   */
  shardOf?(identity: string): string;
  /** Counts that processes share, for statistics. Default: each process counts for itself. */
  readonly counters?: SharedCounters;
  /** Lets go of timers and connections. */
  close?(): Awaitable<void>;
}

/**
 * The store fails: nothing was decided, since a limit of the request has `failMode: 'closed'`; or nothing was
 * changed, where an operator asked for that.
 */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';

  constructor(
    /** Milliseconds after which another try may be worth it. */
    readonly retryAfterMs: number,
    /** Names of the limits that wait for the store; none where it was asked for something else than a decision. */
    readonly limits: readonly string[],
    cause: unknown,
  ) {
    super(
      limits.length > 0
        ? `The store fails, and ${limits.join(', ')} does not go on without it.`
        : 'The store fails, and is not called now.',
      { cause },
    );
  }
}

brand(StoreUnavailableError, 'StoreUnavailableError');
