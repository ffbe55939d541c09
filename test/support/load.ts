import { setTimeout as sleep } from 'node:timers/promises';
import type { Charge, Decision, Store } from 'nestjs-ratelimit';
import { ALGORITHM_NAMES } from '../../lib/core/algorithms/index.js';
import { keepsBound } from './bounds.js';
import { chargeOf } from './charges.js';
import { within } from './redis/within.js';
import { until } from './until.js';

/** Three limits that bind over and over within a second, one of each algorithm. */
export const busy = (identity: string): Charge[] =>
  ALGORITHM_NAMES.map((algorithm) =>
    chargeOf({ identity, name: algorithm, algorithm, limit: 20, windowMs: 200 }),
  );

/** Load that a failing test has left running: Jest would wait for it forever. */
const running = new Set<Load>();
afterAll(() => {
  for (const load of running) load.end();
});

/** Asks a store for decisions, several at a time, while something happens to its server. */
export class Load {
  readonly decided: Decision[] = [];
  readonly errors: Error[] = [];
  #underWay = 0;
  #asked = 0;
  #stops = false;

  /**
   * @param charges of each request in turn
   * @param atOnce how many requests are under way at a time
   */
  constructor(
    readonly store: Store,
    readonly charges: (turn: number) => readonly Charge[],
    atOnce = 16,
  ) {
    running.add(this);
    for (let i = 0; i < atOnce; i++) void this.#ask();
  }

  /** Waits until so many more decisions have been made. */
  async more(count: number, withinMs?: number): Promise<void> {
    const enough = this.decided.length + count;
    await until(`${count} more decisions`, async () => this.decided.length >= enough, withinMs);
  }

  /** Asks no more. */
  end(): void {
    this.#stops = true;
    running.delete(this);
  }

  /** Ends it; what is under way has to settle soon. */
  async stop(withinMs = 5_000): Promise<void> {
    this.end();
    await within(withinMs, 'every decision has settled', async () => this.#underWay === 0);
  }

  /** Limits and identities that were admitted more than they allow, by the times of the store. */
  overLimit(since = 0): readonly string[] {
    const timelines = new Map<string, Decision[]>();
    for (const decision of this.decided.slice(since)) {
      const name = `${decision.name} ${decision.charge.identity}`;
      const timeline = timelines.get(name) ?? [];
      timelines.set(name, timeline);
      if (decision.receipt !== null) timeline.push(decision);
    }
    const over = [...timelines].filter(([, timeline]) => {
      const admissions = timeline
        .map(({ atMs, charge }) => ({ atMs, cost: charge.cost, policy: charge.policy }))
        .sort((a, b) => a.atMs - b.atMs);
      const policy = admissions[0]?.policy;
      return policy !== undefined && !keepsBound(admissions, policy);
    });
    return over.map(([name]) => name);
  }

  async #ask(): Promise<void> {
    this.#underWay++;
    while (!this.#stops) {
      // A synchronous reply would leave no time for anything else.
      let restMs = 1;
      try {
        const { decisions } = await this.store.consume(this.charges(this.#asked++));
        this.decided.push(...decisions);
      } catch (error) {
        this.errors.push(error as Error);
        // A server may be gone for seconds, and each request be refused at once.
        restMs = 10;
      }
      await sleep(restMs);
    }
    this.#underWay--;
  }
}
