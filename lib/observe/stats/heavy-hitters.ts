import { copyString } from '../../identity/addresses.js';
import { emptyTally, type Tally } from '../../store/shared-counters.js';

/** A counted key. */
interface Slot {
  key: string;
  /** Occurrences since the last drain. */
  tally: Tally;
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
    slot.certain++;
    slot.bound++;
    if (isDenied) slot.tally.denied++;
    else slot.tally.allowed++;
  }

  /** Returns the counts of the `max` most frequent keys since their last drain, from the highest. */
  drain(max: number): Map<string, Tally> {
    const drained = new Map<string, Tally>();
    for (const slot of [...this.#slots].sort((a, b) => b.certain - a.certain).slice(0, max)) {
      if (slot.tally.allowed + slot.tally.denied === 0) continue;
      drained.set(slot.key, slot.tally);
      slot.tally = emptyTally();
    }
    return drained;
  }

  /** Gives a key a free slot, otherwise that of a key with the lowest bound. */
  #insert(key: string): Slot {
    let slot: Slot;
    if (this.#slots.length < this.size) {
      slot = { key, tally: emptyTally(), certain: 0, bound: 0 };
      this.#slots.push(slot);
    } else {
      slot = this.#lowestSlot();
      this.#slotOf.delete(slot.key);
      slot.key = key;
      slot.tally = emptyTally();
      slot.certain = 0;
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
