import { copyString } from '../../core/copy-string.js';

/** How often a key was counted for sure, and of these how often it was denied. */
export interface Hit {
  readonly key: string;
  readonly count: number;
  readonly denied: number;
}

/** Longer keys are not counted: what is kept is bounded in bytes, too. */
const MAX_KEY_LENGTH = 256;

/**
 * Finds the keys that come most often among any number of them, in bounded memory: Space-Saving (Metwally, Agrawal and
 * El Abbadi, 2005). A new key takes the place of one with the lowest count, and goes on counting from there. Of N that were
 * counted in so many `slots`, each key that came more often than N / slots is held; what is told of it falls
 * short by N / slots at most, and is never too much.
 */
export class HeavyHitters {
  readonly #slotOf = new Map<string, number>();
  // By place. Plain numbers, so that looking for the lowest touches little memory.
  readonly #keys: string[] = [];
  /** Never less than there were. */
  readonly #counts: Float64Array;
  /** What a count began with, taken over from the key that had the place before. */
  readonly #errors: Float64Array;
  readonly #denied: Float64Array;
  /** What of the sure counts, and of the denials, has been taken. */
  readonly #taken: Float64Array;
  readonly #takenDenied: Float64Array;
  /** No count is lower; and no place before the hand has this one. */
  #lowest = 1;
  #hand = 0;

  /** @param slots How many keys are held. */
  constructor(readonly slots: number) {
    const numbers = () => new Float64Array(slots);
    this.#counts = numbers();
    this.#errors = numbers();
    this.#denied = numbers();
    this.#taken = numbers();
    this.#takenDenied = numbers();
  }

  add(key: string, isDenied: boolean): void {
    if (key.length > MAX_KEY_LENGTH) return;
    const slot = this.#slotOf.get(key) ?? this.#enter(copyString(key));
    (this.#counts[slot] as number)++;
    if (isDenied) (this.#denied[slot] as number)++;
  }

  /** What has been counted for the `max` highest since it was last taken, from the top. */
  drain(max: number): Hit[] {
    const hits: Hit[] = [];
    const slots = this.#keys.map((_, slot) => slot);
    for (const slot of slots.sort((a, b) => this.#guaranteed(b) - this.#guaranteed(a)).slice(0, max)) {
      const count = this.#guaranteed(slot) - (this.#taken[slot] as number);
      if (count === 0) continue;
      const denied = (this.#denied[slot] as number) - (this.#takenDenied[slot] as number);
      hits.push({ key: this.#keys[slot] as string, count, denied });
      this.#taken[slot] = this.#guaranteed(slot);
      this.#takenDenied[slot] = this.#denied[slot] as number;
    }
    return hits;
  }

  clear(): void {
    this.#slotOf.clear();
    this.#keys.length = 0;
    this.#lowest = 1;
    this.#hand = 0;
    for (const numbers of [this.#counts, this.#errors, this.#denied, this.#taken, this.#takenDenied]) {
      numbers.fill(0);
    }
  }

  #guaranteed(slot: number): number {
    return (this.#counts[slot] as number) - (this.#errors[slot] as number);
  }

  /** Gives a key a free place, or else that of a key with the lowest count. */
  #enter(key: string): number {
    let slot = this.#keys.length;
    if (slot === this.slots) {
      slot = this.#lowestSlot();
      this.#slotOf.delete(this.#keys[slot] as string);
      this.#errors[slot] = this.#counts[slot] as number;
      this.#denied[slot] = 0;
      this.#taken[slot] = 0;
      this.#takenDenied[slot] = 0;
    }
    this.#keys[slot] = key;
    this.#slotOf.set(key, slot);
    return slot;
  }

  /** Counts only grow, so a round over all places is due once for each step of the lowest: a fixed time for each key. */
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
