/** A binary min-heap of items by a number, in two plain arrays. */
export class Heap<T> {
  #keys: number[] = [];
  #items: T[] = [];

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
  }

  /** Takes out the item with the lowest key. */
  pop(): T | undefined {
    const top = this.#items[0];
    const key = this.#keys.pop();
    const item = this.#items.pop();
    if (key !== undefined && this.#keys.length > 0) this.#sink(key, item as T);
    return top;
  }

  clear(): void {
    this.#keys = [];
    this.#items = [];
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
