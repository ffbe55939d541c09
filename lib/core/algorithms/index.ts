import type { Algorithm } from './algorithm.js';
import { fixedWindow } from './fixed-window.js';
import { slidingWindow } from './sliding-window.js';
import { tokenBucket } from './token-bucket.js';

/** The algorithms by the name that policies carry. */
export const ALGORITHMS = Object.freeze({
  'sliding-window': slidingWindow,
  'fixed-window': fixedWindow,
  'token-bucket': tokenBucket,
} satisfies Record<string, Algorithm>);

/**
 * An algorithm:
 * - `sliding-window`: at most `limit` units in any window, wherever it starts.
 * - `fixed-window`: `limit` units from the first request to the end of its window, then `limit` again.
 * - `token-bucket`: `limit` units per window are refilled evenly, and up to `burst` units can be saved up.
 */
export type AlgorithmName = keyof typeof ALGORITHMS;

export const ALGORITHM_NAMES = Object.keys(ALGORITHMS) as readonly AlgorithmName[];
