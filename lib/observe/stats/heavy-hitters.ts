import { copyString } from '../../identity/addresses.js';

/** A frequent key. */
export interface Hit {
  readonly key: string;
  /** Occurrences that are certain. */
  readonly count: number;
  /** Denied ones among them. */
  readonly denied: number;
}

/** Longer keys are not counted, so that memory is bounded in bytes, too. */
const MAX_KEY_LENGTH = 256;

/**
 * Finds the most frequent keys among any number of keys, in bounded memory: Space-Saving (Metwally, Agrawal and El Abbadi,
 * 2005). A new key replaces one with the lowest count, and goes on counting from there. After N additions, every key that
 * was added more than N / slots times is held. Its count is too low by at most N / slots, and never too high.
 */
export class HeavyHitters {
  readonly #slotOf = new Map<string, number>();
  // By slot. Typed arrays, so that the search for the lowest count touches little memory.
  readonly #keys: string[] = [];
  /** Upper bounds of the occurrences. */
  readonly #counts: Float64Array;
  /** The part of a count that the key took over from its predecessor in the slot. */
  readonly #errors: Float64Array;
  readonly #denied: Float64Array;
  /** The parts of the guaranteed counts, and of the denials, that have been drained. */
  readonly #drained: Float64Array;
  readonly #drainedDenied: Float64Array;
  /** A lower bound of all counts. No slot before the hand has this count. */
  #lowest = 1;
  #hand = 0;

  /** @param slots Number of keys that are held. */
  constructor(readonly slots: number) {
    const numbers = () => new Float64Array(slots);
    this.#counts = numbers();
    this.#errors = numbers();
    this.#denied = numbers();
    this.#drained = numbers();
    this.#drainedDenied = numbers();
  }

  add(key: string, isDenied: boolean): void {
    if (key.length > MAX_KEY_LENGTH) return;
    const slot = this.#slotOf.get(key) ?? this.#insert(copyString(key));
    (this.#counts[slot] as number)++;
    if (isDenied) (this.#denied[slot] as number)++;
  }

  /** Returns the counts of the `max` most frequent keys since their last drain, from the highest. */
  drain(max: number): Hit[] {
    const hits: Hit[] = [];
    const slots = this.#keys.map((_, slot) => slot);
    for (const slot of slots.sort((a, b) => this.#guaranteed(b) - this.#guaranteed(a)).slice(0, max)) {
      const count = this.#guaranteed(slot) - (this.#drained[slot] as number);
      if (count === 0) continue;
      const denied = (this.#denied[slot] as number) - (this.#drainedDenied[slot] as number);
      hits.push({ key: this.#keys[slot] as string, count, denied });
      this.#drained[slot] = this.#guaranteed(slot);
      this.#drainedDenied[slot] = this.#denied[slot] as number;
    }
    return hits;
  }

  clear(): void {
    this.#slotOf.clear();
    this.#keys.length = 0;
    this.#lowest = 1;
    this.#hand = 0;
    for (const numbers of [this.#counts, this.#errors, this.#denied, this.#drained, this.#drainedDenied]) {
      numbers.fill(0);
    }
  }

  /** Returns the occurrences of a key that are certain. */
  #guaranteed(slot: number): number {
    return (this.#counts[slot] as number) - (this.#errors[slot] as number);
  }

  /** Gives a key a free slot, otherwise that of a key with the lowest count. */
  #insert(key: string): number {
    let slot = this.#keys.length;
    if (slot === this.slots) {
      slot = this.#lowestSlot();
      this.#slotOf.delete(this.#keys[slot] as string);
      this.#errors[slot] = this.#counts[slot] as number;
      this.#denied[slot] = 0;
      this.#drained[slot] = 0;
      this.#drainedDenied[slot] = 0;
    }
    this.#keys[slot] = key;
    this.#slotOf.set(key, slot);
    return slot;
  }

  /** Finds a slot with the lowest count. Counts only grow, so all slots are searched once per step of the lowest: constant time per key. */
  #lowestSlot(): number {
    const counts = this.#counts;
    for (;;) {
      for (; this.#hand < this.slots; this.#hand++) {
        if (counts[this.#hand] === this.#lowest) return this.#hand;
      }
      this.#hand = 0;
      let lowest = counts[0] as number;
      for (let slot = 1; slot < this.slots; slot++) {
        if ((counts[slot] as number) < lowest) lowest = counts[slot] as number;
      }
      this.#lowest = lowest;
    }
  }
}
