import { ALGORITHM_NAMES, type AlgorithmName } from '../../core/policy.js';
import type { Subject } from './subject.js';

/** Behaviours of one theme: a sentence each, and a check that rejects a store that has it not. */
export type Checks = Readonly<Record<string, (subject: Subject) => Promise<void>>>;

/** The same checks for every algorithm. */
export const forEachAlgorithm = (checksOf: (algorithm: AlgorithmName) => Checks): Checks =>
  Object.assign({}, ...ALGORITHM_NAMES.map(checksOf));
