import type { Clock } from '../../core/clock.js';
import type { SharedCounts } from '../../store/shared-counters.js';

const HOUR_MS = 3_600_000;
/** Within so long of its end every process that reaches the store has written the last of an hour. */
const SETTLED_MS = 10_000;
/** One that was kept from the store for longer is seen after this. */
const FRESH_MS = 60_000;
/** One that is over for longer changes no more, but for what was kept from the store all the time. */
const OLD_MS = 2 * HOUR_MS;
const FRESH_WHEN_OLD_MS = 600_000;

/** Hours that are over, as they were read, so that who looks every second reads the one under way alone. */
export class PastHours {
  readonly #known = new Map<number, { readonly shared: SharedCounts; readonly untilMs: number }>();

  /** @param max How many are kept. */
  constructor(
    readonly clock: Clock,
    readonly max: number,
  ) {}

  get(hour: number): SharedCounts | undefined {
    const known = this.#known.get(hour);
    return known !== undefined && this.clock.now() < known.untilMs ? known.shared : undefined;
  }

  keep(hour: number, shared: SharedCounts): void {
    const nowMs = this.clock.now();
    if (nowMs < (hour + 1) * HOUR_MS + SETTLED_MS) return;
    // Put anew, so that the first of the map is the one that was read longest ago.
    this.#known.delete(hour);
    const isOld = nowMs >= (hour + 1) * HOUR_MS + OLD_MS;
    this.#known.set(hour, { shared, untilMs: nowMs + (isOld ? FRESH_WHEN_OLD_MS : FRESH_MS) });
    const [oldest] = this.#known.keys();
    if (this.#known.size > this.max && oldest !== undefined) this.#known.delete(oldest);
  }

  forget(hour: number): void {
    this.#known.delete(hour);
  }
}
