import { copyOf } from '../core/copy.js';

/** How often a key was counted for sure, and of these how often it was denied. */
export interface Hit {
  readonly key: string;
  readonly count: number;
  readonly denied: number;
}

/** Longer keys are not counted: what is kept is bounded in bytes, too. */
const LONGEST_KEY = 256;

/**
 * Finds the keys that come most often among any number of them, in bounded memory: Space-Saving (Metwally, Agrawal and
 * El Abbadi, 2005). A new key takes the place of one with the lowest count, and goes on counting from there. Of N that were
 * counted in so many `places`, each key that came more often than N / places is held; what is told of it falls
 * short by N / places at most, and is never too much.
 */
export class HeavyHitters {
  readonly #placeOf = new Map<string, number>();
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

  /** @param places How many keys are held. */
  constructor(readonly places: number) {
    const numbers = () => new Float64Array(places);
    this.#counts = numbers();
    this.#errors = numbers();
    this.#denied = numbers();
    this.#taken = numbers();
    this.#takenDenied = numbers();
  }

  add(key: string, isDenied: boolean): void {
    if (key.length > LONGEST_KEY) return;
    const place = this.#placeOf.get(key) ?? this.#enter(copyOf(key));
    (this.#counts[place] as number)++;
    if (isDenied) (this.#denied[place] as number)++;
  }

  /** What has been counted for the `most` highest since it was last taken, from the top. */
  take(most: number): Hit[] {
    const hits: Hit[] = [];
    const places = this.#keys.map((_, place) => place);
    for (const place of places.sort((a, b) => this.#sure(b) - this.#sure(a)).slice(0, most)) {
      const count = this.#sure(place) - (this.#taken[place] as number);
      if (count === 0) continue;
      const denied = (this.#denied[place] as number) - (this.#takenDenied[place] as number);
      hits.push({ key: this.#keys[place] as string, count, denied });
      this.#taken[place] = this.#sure(place);
      this.#takenDenied[place] = this.#denied[place] as number;
    }
    return hits;
  }

  clear(): void {
    this.#placeOf.clear();
    this.#keys.length = 0;
    this.#lowest = 1;
    this.#hand = 0;
    for (const numbers of [this.#counts, this.#errors, this.#denied, this.#taken, this.#takenDenied]) {
      numbers.fill(0);
    }
  }

  #sure(place: number): number {
    return (this.#counts[place] as number) - (this.#errors[place] as number);
  }

  /** Gives a key a free place, or else that of a key with the lowest count. */
  #enter(key: string): number {
    let place = this.#keys.length;
    if (place === this.places) {
      place = this.#lowestPlace();
      this.#placeOf.delete(this.#keys[place] as string);
      this.#errors[place] = this.#counts[place] as number;
      this.#denied[place] = 0;
      this.#taken[place] = 0;
      this.#takenDenied[place] = 0;
    }
    this.#keys[place] = key;
    this.#placeOf.set(key, place);
    return place;
  }

  /** Counts only grow, so a round over all places is due once for each step of the lowest: a fixed time for each key. */
  #lowestPlace(): number {
    const counts = this.#counts;
    for (;;) {
      for (; this.#hand < this.places; this.#hand++) {
        if (counts[this.#hand] === this.#lowest) return this.#hand;
      }
      this.#hand = 0;
      let lowest = counts[0] as number;
      for (let place = 1; place < this.places; place++) {
        if ((counts[place] as number) < lowest) lowest = counts[place] as number;
      }
      this.#lowest = lowest;
    }
  }
}
