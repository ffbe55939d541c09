import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Heap } from '../../../../lib/store/memory/eviction.js';

interface Item {
  readonly id: number;
  readonly key: number;
}

/** A heap beside a list of what it ought to hold, and where it says that each item stands. */
class Watched {
  readonly places = new Map<Item, number>();
  readonly heap = new Heap<Item>((item, at) => this.places.set(item, at));
  readonly model: Item[] = [];
  #ids = 0;

  push(key: number): void {
    const item = { id: this.#ids++, key };
    this.heap.push(key, item);
    this.model.push(item);
  }

  pop(): void {
    const item = this.heap.pop();
    if ((item?.key ?? Number.POSITIVE_INFINITY) !== this.lowest) throw new Error(`It gave ${item?.key}.`);
    this.#forget(item);
  }

  remove(nth: number): void {
    const item = this.model[nth % Math.max(1, this.model.length)];
    if (item === undefined) return;
    this.heap.remove(this.places.get(item) as number);
    this.#forget(item);
  }

  get lowest(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.model.map(({ key }) => key));
  }

  check(): void {
    const keys: number[] = [];
    for (const [{ key }, at] of this.places) keys[at] = key;
    const misplaced = keys.filter((key, at) => at > 0 && (keys[(at - 1) >> 1] ?? key + 1) > key);
    const { length } = this.model;
    // After each of ten thousand steps, so no `expect`, which is slow.
    assert.deepEqual(
      [this.heap.size, this.heap.lowest, keys.length, misplaced],
      [length, this.lowest, length, []],
    );
  }

  #forget(item: Item | undefined): void {
    if (item === undefined) return;
    this.model.splice(this.model.indexOf(item), 1);
    this.places.delete(item);
  }
}

type Step = readonly ['push' | 'pop' | 'remove', number];

const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.tuple(fc.constant('push' as const), fc.integer({ min: 0, max: 50 })) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('pop' as const), fc.constant(0)) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('remove' as const), fc.nat(1_000)) },
  ),
  { minLength: 10, maxLength: 200, size: 'max' },
);

const run = (given: readonly Step[], each: (watched: Watched) => void = () => undefined): Watched => {
  const watched = new Watched();
  for (const [what, number] of given) {
    watched[what](number);
    each(watched);
  }
  return watched;
};

describe('a heap', () => {
  test('an empty heap', () => {
    const heap = new Heap<string>();
    expect([heap.pop(), heap.size, heap.lowest]).toEqual([undefined, 0, Number.POSITIVE_INFINITY]);
    heap.remove(0);
    expect(heap.size).toBe(0);
  });

  test('keeps its order and positions under any pushes, pops and removals', () => {
    fc.assert(
      fc.property(steps, (given) => {
        run(given, (watched) => watched.check());
      }),
      { numRuns: 100 },
    );
  });

  test('pops the items in the order of their keys', () => {
    fc.assert(
      fc.property(steps, (given) => {
        const { heap, model } = run(given);
        const left: number[] = [];
        for (let item = heap.pop(); item !== undefined; item = heap.pop()) left.push(item.key);
        assert.deepEqual(
          left,
          model.map(({ key }) => key).sort((a, b) => a - b),
        );
      }),
      { numRuns: 500 },
    );
  });

  test('keeps its order after most of many items were removed', () => {
    const watched = new Watched();
    for (let i = 0; i < 5_000; i++) watched.push((i * 7_919) % 5_003);
    for (let i = 0; i < 4_900; i++) watched.remove(i * 31);
    watched.check();
    for (let i = 0; i < 100; i++) watched.pop();
    expect(watched.heap.size).toBe(0);
  });

  test('clear removes all items', () => {
    const heap = new Heap<string>();
    heap.push(1, 'a');
    heap.clear();
    expect([heap.pop(), heap.size]).toEqual([undefined, 0]);
    heap.push(2, 'b');
    expect([heap.lowest, heap.pop()]).toEqual([2, 'b']);
  });
});
