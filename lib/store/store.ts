import type { Awaitable } from '../core/awaitable.js';
import { brand } from '../core/brand.js';
import type { Charge, Decision } from '../core/decision.js';
import type { SharedCounters } from './shared-counters.js';

/** Reply of a store: the decisions in the order of the charges. */
export interface StoreReply {
  /** While the store fails, decisions on limits with `failMode: 'open'` are left out. */
  readonly decisions: readonly Decision[];
  /** True if they were made without the store. */
  readonly degraded: boolean;
}

/** An identity under one scope, or under all. */
export interface StoreTarget {
  /** As `kind:value`, such as `ip:203.0.113.7`. */
  readonly identity: string;
  /** Default: every scope. */
  readonly scope?: string | undefined;
}

/**
 * Keeps buckets and decides atomically. `storeContract` of `nestjs-ratelimit/testing` checks this contract for any
 * implementation. A store that need not wait returns plain values instead of promises; the guard then does not wait
 * either.
 */
export interface Store {
  /** Its name in metrics, such as `redis`. */
  readonly name: string;
  /** True if other processes decide on the same buckets; all must then format identities alike. Default false. */
  readonly shared?: boolean;
  /** Secret to hash identities with, unless the module has one. */
  readonly secret?: string | undefined;
  /**
   * Decides all charges of one request together: if every charge that is not a shadow is admitted, all are written,
   * otherwise none. Charges name different buckets. A shadow charge is written when the request passes and its own
   * limit admits it. A cost of 0 passes uncharged, unless the limit is 0 or the bucket is blocked. A denial by a
   * charge with `blockDurationsMs` blocks that bucket, unless it is already blocked or no wait would help.
   */
  consume(charges: readonly Charge[]): Awaitable<StoreReply>;
  /**
   * Returns the state of the buckets and writes nothing: `remaining`, `used` and `resetAfterMs` are as they are now,
   * without the charges; `allowed` and `retryAfterMs` tell whether each charge would be admitted.
   */
  peek(charges: readonly Charge[]): Awaitable<StoreReply>;
  /**
   * Gives back charges that still count, from the entry or the window that they were made in, so that a refund never
   * makes more room than the limit has. The caller passes each decision only once.
   */
  refund(decisions: readonly Decision[]): Awaitable<void>;
  /** Removes the charges and blocks of an identity. */
  reset(target: StoreTarget): Awaitable<void>;
  /** Denies every charge to an identity for `forMs` milliseconds from now. */
  block(identity: string, forMs: number): Awaitable<void>;
  /** Ends the blocks of an identity, including those that denials started. */
  unblock(identity: string): Awaitable<void>;
  /** Connects, so that the first request need not wait. Called when the application starts. */
  open?(): Awaitable<void>;
  /** Calls `listener` after each reconnect: a store that was failing is then probed immediately. */
  onReady?(listener: () => void): void;
  /**
   * Returns the name of the shard that keeps an identity, such as the node of a Cluster, if shards can fail by
   * themselves: calls to a failing shard stop, and those to the others go on. Default: a single shard.
   */
  shardOf?(identity: string): string;
  /** Statistics that processes share. Default: each process counts for itself. */
  readonly counters?: SharedCounters;
  /** Stops timers and closes connections. */
  close?(): Awaitable<void>;
}

/**
 * The store is failing. Either a request was not decided because one of its limits has `failMode: 'closed'`, or a
 * call such as `reset` changed nothing.
 */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';

  constructor(
    /** Milliseconds after which to try again. */
    readonly retryAfterMs: number,
    /** Names of the limits with `failMode: 'closed'`; empty if the call was not a decision. */
    readonly limits: readonly string[],
    cause: unknown,
  ) {
    super(
      limits.length > 0
        ? `The store is failing, and limits with failMode 'closed' need it: ${limits.join(', ')}.`
        : 'The store is failing and is not called at the moment.',
      { cause },
    );
  }
}

brand(StoreUnavailableError, 'StoreUnavailableError');
