import { newTally, type Tally } from '../core/statistics.js';

/** Names come from code, so there are few: this is a bound for code that makes them up. */
const MOST_NAMES = 5_000;

/** The row of what came after so many other names. */
export const OTHER = 'other';

/** What has been counted under a name since it was last drained. */
export class Row {
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
export class Rows {
  readonly #rows = new Map<string, Row>();
  #touched: Row[] = [];

  /** The row of a name, or that of all others once there are too many. */
  of(name: string): Row {
    let row = this.#rows.get(name);
    if (row === undefined) {
      if (this.#rows.size >= MOST_NAMES && name !== OTHER) return this.of(OTHER);
      row = new Row(name);
      this.#rows.set(name, row);
    }
    return row;
  }

  count(row: Row, isAllowed: boolean, isShadowDenied: boolean, isDegraded: boolean): void {
    count(row, isAllowed, isShadowDenied, isDegraded);
    if (row.isTouched) return;
    row.isTouched = true;
    this.#touched.push(row);
  }

  /** Moves what has been counted into tallies by name. */
  drain(into: Map<string, Tally>): void {
    for (const row of this.#touched) {
      addTally(into, row.name, row);
      row.allowed = row.denied = row.shadowDenied = row.degraded = 0;
      row.isTouched = false;
    }
    this.#touched = [];
  }
}

/** Adds a tally to the one of its name. */
export function addTally(into: Map<string, Tally>, name: string, from: Tally): void {
  let tally = into.get(name);
  if (tally === undefined) {
    tally = newTally();
    into.set(name, tally);
  }
  tally.allowed += from.allowed;
  tally.denied += from.denied;
  tally.shadowDenied += from.shadowDenied;
  tally.degraded += from.degraded;
}
