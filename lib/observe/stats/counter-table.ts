import { emptyTally, type Tally } from '../../store/shared-counters.js';

/** Names come from code, so there are few: this is a bound for code that makes them up. */
const MAX_NAMES = 5_000;

/** The row of what came after so many other names. */
export const OTHER = 'other';

/** What has been counted under a name since it was last drained. */
export class Counter {
  allowed = 0;
  denied = 0;
  shadowDenied = 0;
  degraded = 0;
  isTouched = false;

  constructor(readonly name: string) {}
}

/** Adds one request, or one decision. */
export function count(tally: Tally, isAllowed: boolean, isShadowDenied: boolean, isDegraded: boolean): void {
  if (isAllowed) tally.allowed++;
  else tally.denied++;
  if (isShadowDenied) tally.shadowDenied++;
  if (isDegraded) tally.degraded++;
}

/** Rows by name, and which of them have counted anything. */
export class CounterTable {
  readonly #counters = new Map<string, Counter>();
  #touched: Counter[] = [];

  /** The row of a name, or that of all others once there are too many. */
  of(name: string): Counter {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      if (this.#counters.size >= MAX_NAMES && name !== OTHER) return this.of(OTHER);
      counter = new Counter(name);
      this.#counters.set(name, counter);
    }
    return counter;
  }

  count(counter: Counter, isAllowed: boolean, isShadowDenied: boolean, isDegraded: boolean): void {
    count(counter, isAllowed, isShadowDenied, isDegraded);
    if (counter.isTouched) return;
    counter.isTouched = true;
    this.#touched.push(counter);
  }

  /** Moves what has been counted into tallies by name. */
  drain(into: Map<string, Tally>): void {
    for (const counter of this.#touched) {
      mergeTally(into, counter.name, counter);
      counter.allowed = counter.denied = counter.shadowDenied = counter.degraded = 0;
      counter.isTouched = false;
    }
    this.#touched = [];
  }
}

/** Adds a tally to the one of its name. */
export function mergeTally(into: Map<string, Tally>, name: string, from: Tally): void {
  let tally = into.get(name);
  if (tally === undefined) {
    tally = emptyTally();
    into.set(name, tally);
  }
  tally.allowed += from.allowed;
  tally.denied += from.denied;
  tally.shadowDenied += from.shadowDenied;
  tally.degraded += from.degraded;
}
