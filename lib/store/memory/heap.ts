/** A binary min-heap of items by a number, in two plain arrays. */
export class Heap<T> {
  #keys: number[] = [];
  #items: T[] = [];
  /** The largest size since the arrays were last copied. */
  #peak = 0;

  get size(): number {
    return this.#keys.length;
  }

  /** The lowest key, `Infinity` when empty. */
  get lowest(): number {
    return this.#keys[0] ?? Number.POSITIVE_INFINITY;
  }

  push(key: number, item: T): void {
    let at = this.#keys.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentKey = this.#keys[parent] as number;
      if (parentKey <= key) break;
      this.#keys[at] = parentKey;
      this.#items[at] = this.#items[parent] as T;
      at = parent;
    }
    this.#keys[at] = key;
    this.#items[at] = item;
    if (this.#keys.length > this.#peak) this.#peak = this.#keys.length;
  }

  /** Takes out the item with the lowest key. */
  pop(): T | undefined {
    const top = this.#items[0];
    const key = this.#keys.pop();
    const item = this.#items.pop();
    if (key !== undefined && this.#keys.length > 0) this.#sink(key, item as T);
    this.#giveBack();
    return top;
  }

  clear(): void {
    this.#keys = [];
    this.#items = [];
    this.#peak = 0;
  }

  /** An array that shrinks by `pop` may keep the memory of its best days: copy it once most of it is gone. */
  #giveBack(): void {
    if (this.#peak < 1_024 || this.#keys.length > this.#peak / 4) return;
    this.#keys = this.#keys.slice();
    this.#items = this.#items.slice();
    this.#peak = this.#keys.length;
  }

  /** Puts an item in at the top and lets it sink to its place. */
  #sink(key: number, item: T): void {
    const size = this.#keys.length;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (this.#keys[child + 1] as number) < (this.#keys[child] as number)) child++;
      const childKey = this.#keys[child] as number;
      if (childKey >= key) break;
      this.#keys[at] = childKey;
      this.#items[at] = this.#items[child] as T;
      at = child;
    }
    this.#keys[at] = key;
    this.#items[at] = item;
  }
}
