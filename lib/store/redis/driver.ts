import type { Awaitable } from '../../core/awaitable.js';
import type { SCRIPTS } from './scripts.gen.js';

export type ScriptName = keyof typeof SCRIPTS;

/** Runs the store's scripts through one client library. Nothing else of the store knows which library that is. */
export interface RedisDriver {
  /**
   * Runs a script once or not at all: a call that fails is never sent a second time, since it may have charged.
   * Loads the script again if the server has lost it.
   *
   * @returns The reply, with strings as buffers.
   * @throws The reason for which there is no reply, such as why there is no connection.
   */
  evaluate(
    script: ScriptName,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown>;
  /** Calls `listener` whenever the client has connected. */
  onReady(listener: () => void): void;
  /** Only on a Cluster: returns the node that leads a key's slot, as `host:port`; empty while that is not known. */
  readonly shardOf?: ((key: string) => string) | undefined;
  /** Connects a client of our own the first time; does not throw. */
  open(): Awaitable<void>;
  /** Closes a client of our own. A client of the application stays open, but no longer calls listeners. */
  close(): void;
}
