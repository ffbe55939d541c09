import type { Charge, Clock, Decision, MemoryStore, Store, StoreReply, StoreTarget } from 'nestjs-ratelimit';
import type { Awaitable } from '../../lib/core/awaitable.js';

/**
 * How a store takes what it is asked:
 * - `at-once`: decides, and answers without a promise.
 * - `answers`: decides at once, and answers by a promise.
 * - `throws`, `rejects`: decides nothing.
 * - `hangs`: decides when the test lets it go on.
 * - `slow`: decides at once, and answers when the test lets it go on; never, if the test does not.
 */
export type Manner = 'at-once' | 'answers' | 'throws' | 'rejects' | 'hangs' | 'slow';

/** The error of a store that is down. */
export const DOWN = new Error('store is down');

/** A call that waits for the test. */
export interface Held {
  answer(): void;
  fail(error: Error): void;
}

const isProbe = (charges: readonly Charge[]): boolean => charges[0]?.policy.scope === 'probe';

/** A store of which a test says when, and how, it answers; what it decides is decided by a real one. */
export class HeldStore implements Store {
  readonly name = 'held';
  manner: Manner = 'answers';
  /** Parts of it that reject, whatever its manner is. */
  readonly failing = new Set<string>();
  /** The calls that charge, each once, without probes. */
  readonly asked: (readonly Charge[])[] = [];
  /** The identities of probes, each call once. */
  readonly probes: string[] = [];
  /** The other calls, each once. */
  readonly told: string[] = [];
  /** Tells who listens that it is back. */
  ready: () => void = () => undefined;
  readonly #held: Held[] = [];

  constructor(
    readonly inner: MemoryStore,
    readonly shared: boolean,
    readonly shardOf?: (identity: string) => string,
  ) {}

  consume(charges: readonly Charge[]): Awaitable<StoreReply> {
    if (isProbe(charges)) this.probes.push(charges[0]?.identity ?? '');
    else this.asked.push(charges);
    return this.#take(
      charges.map(({ identity }) => identity),
      () => this.inner.consume(charges),
    );
  }

  peek(charges: readonly Charge[]): Awaitable<StoreReply> {
    this.told.push('peek');
    return this.#take(
      charges.map(({ identity }) => identity),
      () => this.inner.peek(charges),
    );
  }

  refund(decisions: readonly Decision[]): Awaitable<void> {
    this.told.push(`refund ${decisions.length}`);
    return this.#take(
      decisions.map(({ charge }) => charge.identity),
      () => this.inner.refund(decisions),
    );
  }

  reset(target: StoreTarget): Awaitable<void> {
    this.told.push(`reset ${target.identity}`);
    return this.#take([target.identity], () => this.inner.reset(target));
  }

  block(identity: string, forMs: number): Awaitable<void> {
    this.told.push(`block ${identity}`);
    return this.#take([identity], () => this.inner.block(identity, forMs));
  }

  unblock(identity: string): Awaitable<void> {
    this.told.push(`unblock ${identity}`);
    return this.#take([identity], () => this.inner.unblock(identity));
  }

  onReady(tell: () => void): void {
    this.ready = tell;
  }

  close(): void {
    this.told.push('close');
    this.inner.close();
  }

  /** Lets what it holds go on, in the order in which it was asked. */
  answer(): void {
    for (const held of this.#held.splice(0)) held.answer();
  }

  /** Fails what it holds. */
  fail(error = DOWN): void {
    for (const held of this.#held.splice(0)) held.fail(error);
  }

  #take<T>(identities: readonly string[], decide: () => T): Awaitable<T> {
    const { shardOf } = this;
    if (shardOf !== undefined && identities.some((one) => this.failing.has(shardOf(one)))) {
      return Promise.reject(DOWN);
    }
    switch (this.manner) {
      case 'at-once':
        return decide();
      case 'answers':
        return Promise.resolve(decide());
      case 'throws':
        throw DOWN;
      case 'rejects':
        return Promise.reject(DOWN);
      case 'hangs':
        return this.#hold(decide);
      case 'slow': {
        const decided = decide();
        return this.#hold(() => decided);
      }
    }
  }

  #hold<T>(decide: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#held.push({ answer: () => resolve(decide()), fail: reject });
    });
  }
}

/** Lets promises and immediates that are due run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A clock that tells how many tasks run by it. */
export class CountedClock implements Clock {
  running = 0;

  constructor(readonly clock: Clock) {}

  now(): number {
    return this.clock.now();
  }

  every(ms: number, task: () => void): () => void {
    const stop = this.clock.every(ms, task);
    this.running++;
    let runs = true;
    return () => {
      if (runs) this.running--;
      runs = false;
      stop();
    };
  }
}
