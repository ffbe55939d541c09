import { ALGORITHM_NAMES, type AlgorithmName } from '../../core/algorithms/index.js';
import type { Subject } from './subject.js';

/** Behaviours of one topic: each has a sentence, and a check that rejects a store without that behaviour. */
export type Checks = Readonly<Record<string, (subject: Subject) => Promise<void>>>;

/** Creates the same checks for every algorithm. */
export const forEachAlgorithm = (create: (algorithm: AlgorithmName) => Checks): Checks =>
  Object.assign({}, ...ALGORITHM_NAMES.map(create));
