import { estimate, mergeRegisters, registerOf } from '../../../../lib/observe/stats/hyperloglog.js';
import { HLL_REGISTERS } from '../../../../lib/store/shared-counters.js';

/** The registers of addresses that follow each other, as those of a network do. */
function registersOf(count: number, first = 0): Uint8Array {
  const registers = new Uint8Array(HLL_REGISTERS);
  for (let at = first; at < first + count; at++) {
    const entry = registerOf(`${10 + (at >>> 24)}.${(at >>> 16) & 255}.${(at >>> 8) & 255}.${at & 255}`);
    const rank = entry & 31;
    if (rank > (registers[entry >>> 5] as number)) registers[entry >>> 5] = rank;
  }
  return registers;
}

test('nobody is nobody, and a few are counted exactly', () => {
  expect(estimate(new Uint8Array(HLL_REGISTERS))).toBe(0);
  for (const count of [1, 2, 10]) expect(estimate(registersOf(count))).toBe(count);
});

test('the standard error is 1.6 %, from few to many', () => {
  for (const [count, runs] of [
    [500, 200],
    [5_000, 100],
    [20_000, 60],
  ] as const) {
    let squares = 0;
    for (let run = 0; run < runs; run++) {
      const error = estimate(registersOf(count, run * 100_000)) / count - 1;
      squares += error ** 2;
    }
    // What 60 runs say of it is itself off by a tenth.
    expect(Math.sqrt(squares / runs)).toBeLessThan(0.01625 * 1.2);
  }
});

test('a million is within three standard errors', () => {
  expect(Math.abs(estimate(registersOf(1_000_000)) / 1_000_000 - 1)).toBeLessThan(3 * 0.01625);
});

test('counted apart and put together is counted together', () => {
  const together = registersOf(10_000);
  mergeRegisters(together, registersOf(10_000, 5_000));
  expect(Buffer.compare(together, registersOf(15_000))).toBe(0);
});

test('entries stay within the registers and their ranks', () => {
  const indexes = new Set<number>();
  const ranks = new Set<number>();
  for (let at = 0; at < 100_000; at++) {
    const entry = registerOf(`client-${at}`);
    indexes.add(entry >>> 5);
    ranks.add(entry & 31);
  }
  expect([indexes.size, Math.min(...indexes), Math.max(...indexes)]).toEqual([
    HLL_REGISTERS,
    0,
    HLL_REGISTERS - 1,
  ]);
  expect([Math.min(...ranks), Math.max(...ranks) <= 21]).toEqual([1, true]);
});
