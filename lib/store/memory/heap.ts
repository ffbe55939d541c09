/** A binary min-heap of items by a number, in two plain arrays. */
export class Heap<T> {
  #keys: number[] = [];
  #items: T[] = [];
  /** The largest size since the arrays were last copied. */
  #peak = 0;

  /** @param placed Hears where an item comes to stand, so that {@link remove} can find it. */
  constructor(readonly placed: (item: T, at: number) => void = () => undefined) {}

  get size(): number {
    return this.#keys.length;
  }

  /** The lowest key, `Infinity` when empty. */
  get lowest(): number {
    return this.#keys[0] ?? Number.POSITIVE_INFINITY;
  }

  push(key: number, item: T): void {
    this.#rise(this.#keys.length, key, item);
    if (this.#keys.length > this.#peak) this.#peak = this.#keys.length;
  }

  /** Takes out the item with the lowest key. */
  pop(): T | undefined {
    const top = this.#items[0];
    this.remove(0);
    return top;
  }

  /** Takes out the item that stands at a place. */
  remove(at: number): void {
    const key = this.#keys.pop();
    const item = this.#items.pop() as T;
    if (key !== undefined && at < this.#keys.length) {
      if (key < (this.#keys[at] as number)) this.#rise(at, key, item);
      else this.#sink(at, key, item);
    }
    this.#giveBack();
  }

  /** Puts an item in place of another one, with its key. */
  replace(at: number, item: T): void {
    this.#items[at] = item;
  }

  clear(): void {
    this.#keys = [];
    this.#items = [];
    this.#peak = 0;
  }

  #put(at: number, key: number, item: T): void {
    this.#keys[at] = key;
    this.#items[at] = item;
    this.placed(item, at);
  }

  /** An array that shrinks by `pop` may keep the memory of its best days: copy it once most of it is gone. */
  #giveBack(): void {
    if (this.#peak < 1_024 || this.#keys.length > this.#peak / 4) return;
    this.#keys = this.#keys.slice();
    this.#items = this.#items.slice();
    this.#peak = this.#keys.length;
  }

  /** Puts an item at a free place and lets it rise to where it belongs. */
  #rise(from: number, key: number, item: T): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentKey = this.#keys[parent] as number;
      if (parentKey <= key) break;
      this.#put(at, parentKey, this.#items[parent] as T);
      at = parent;
    }
    this.#put(at, key, item);
  }

  /** Puts an item at a free place and lets it sink to where it belongs. */
  #sink(from: number, key: number, item: T): void {
    const size = this.#keys.length;
    let at = from;
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (this.#keys[child + 1] as number) < (this.#keys[child] as number)) child++;
      const childKey = this.#keys[child] as number;
      if (childKey >= key) break;
      this.#put(at, childKey, this.#items[child] as T);
      at = child;
    }
    this.#put(at, key, item);
  }
}
