import { HLL_REGISTERS } from '../../store/shared-counters.js';

const { imul, clz32 } = Math;

/** The first 12 of the 32 bits of a hash choose a register; the others make the rank, 1 to 21. */
const INDEX_BITS = 12;
const RANK_BITS = 32 - INDEX_BITS;

/** FNV-1a over the characters, and the last mix of MurmurHash3, since FNV alone leaves its upper bits too regular. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Where a client is entered, and how high: `index * 32 + rank`, in one number so that nothing is allocated. */
export function registerOf(client: string): number {
  const hash = hashOf(client);
  // The one behind the bits bounds the rank.
  const rank = clz32((hash << INDEX_BITS) | (1 << (INDEX_BITS - 1))) + 1;
  return ((hash >>> RANK_BITS) << 5) | rank;
}

/** Enters `from` into `into`: as if all clients of both had been counted there. */
export function mergeRegisters(into: Uint8Array, from: Uint8Array): void {
  for (let at = 0; at < HLL_REGISTERS; at++) {
    const rank = from[at] as number;
    if (rank > (into[at] as number)) into[at] = rank;
  }
}

/** Corrects for registers that are still empty. */
function sigma(empty: number): number {
  if (empty === 1) return Number.POSITIVE_INFINITY;
  let [power, weight, sum, before] = [empty, 1, empty, -1];
  while (sum !== before) {
    power *= power;
    before = sum;
    sum += power * weight;
    weight *= 2;
  }
  return sum;
}

/** Corrects for registers at the highest rank. */
function tau(below: number): number {
  if (below === 0 || below === 1) return 0;
  let [power, weight, sum, before] = [below, 1, 1 - below, -1];
  while (sum !== before) {
    power = Math.sqrt(power);
    before = sum;
    weight /= 2;
    sum -= (1 - power) ** 2 * weight;
  }
  return sum / 3;
}

/**
 * How many different clients were entered: HyperLogLog (Flajolet, Fusy, Gandouet and Meunier, 2007) with 4,096
 * registers of a byte, read by the improved estimator of Ertl (arXiv:1702.01284, algorithm 6), which needs no table
 * and no switch between small and large counts. Standard error 1.04 / sqrt(4096) = 1.6 %, up to 100 million clients.
 */
export function estimate(registers: Uint8Array): number {
  const ranks = new Array<number>(RANK_BITS + 2).fill(0);
  for (const rank of registers) ranks[rank] = (ranks[rank] as number) + 1;
  let sum = HLL_REGISTERS * tau(1 - (ranks[RANK_BITS + 1] as number) / HLL_REGISTERS);
  for (let rank = RANK_BITS; rank >= 1; rank--) sum = (sum + (ranks[rank] as number)) / 2;
  sum += HLL_REGISTERS * sigma((ranks[0] as number) / HLL_REGISTERS);
  return Math.round(HLL_REGISTERS ** 2 / (2 * Math.LN2 * sum));
}
