import { copyString } from '../../identity/addresses.js';

/** A frequent key. */
export interface Hit {
  readonly key: string;
  /** Occurrences that are certain. */
  readonly count: number;
  /** Denied ones among them. */
  readonly denied: number;
}

/** A counted key. `count` and `denied` are those since the last drain. */
interface Slot {
  key: string;
  count: number;
  denied: number;
  /** Occurrences that are certain: those since the key took the slot. */
  certain: number;
  /** Upper bound of the occurrences: it includes what the key took over from its predecessor in the slot. */
  bound: number;
}

/** Longer keys are not counted, so that memory is bounded in bytes, too. */
const MAX_KEY_LENGTH = 256;

/**
 * Finds the most frequent keys among any number of keys, in bounded memory: Space-Saving (Metwally, Agrawal and El Abbadi,
 * 2005). A new key replaces one with the lowest count, and goes on counting from there. After N additions, every key that
 * was added more than N / slots times is held. Its count is too low by at most N / slots, and never too high.
 */
export class HeavyHitters {
  readonly #slots: Slot[] = [];
  readonly #slotOf = new Map<string, Slot>();
  /** A lower bound of all bounds. No slot before the hand has this bound. */
  #lowest = 1;
  #hand = 0;

  /** @param size Number of keys that are held. */
  constructor(readonly size: number) {}

  add(key: string, isDenied: boolean): void {
    if (key.length > MAX_KEY_LENGTH) return;
    const slot = this.#slotOf.get(key) ?? this.#insert(copyString(key));
    slot.count++;
    slot.certain++;
    slot.bound++;
    if (isDenied) slot.denied++;
  }

  /** Returns the counts of the `max` most frequent keys since their last drain, from the highest. */
  drain(max: number): Hit[] {
    const hits: Hit[] = [];
    for (const slot of [...this.#slots].sort((a, b) => b.certain - a.certain).slice(0, max)) {
      const { key, count, denied } = slot;
      if (count > 0) hits.push({ key, count, denied });
      slot.count = slot.denied = 0;
    }
    return hits;
  }

  /** Gives a key a free slot, otherwise that of a key with the lowest bound. */
  #insert(key: string): Slot {
    let slot: Slot;
    if (this.#slots.length < this.size) {
      slot = { key, count: 0, denied: 0, certain: 0, bound: 0 };
      this.#slots.push(slot);
    } else {
      slot = this.#lowestSlot();
      this.#slotOf.delete(slot.key);
      slot.key = key;
      slot.count = slot.denied = slot.certain = 0;
    }
    this.#slotOf.set(key, slot);
    return slot;
  }

  /** Finds a slot with the lowest bound. Bounds only grow, so all slots are searched once per step of the lowest: constant time per key. */
  #lowestSlot(): Slot {
    for (;;) {
      for (; this.#hand < this.size; this.#hand++) {
        const slot = this.#slots[this.#hand] as Slot;
        if (slot.bound === this.#lowest) return slot;
      }
      this.#hand = 0;
      this.#lowest = Math.min(...this.#slots.map(({ bound }) => bound));
    }
  }
}
