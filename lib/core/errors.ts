import { brand } from './brand.js';

/**
 * What kind of mistake a configuration holds. Stable: `docs/errors.md` has one section a code.
 */
export type ProblemCode =
  | 'bad-rate'
  | 'bad-duration'
  | 'bad-burst'
  | 'bad-policy'
  | 'bad-name'
  | 'bad-key'
  | 'no-secret'
  | 'bad-address'
  | 'bad-cost'
  | 'bad-tiers'
  | 'bad-scope-name'
  | 'bad-option'
  | 'bad-header-name'
  | 'unknown-scope'
  | 'unknown-resolver'
  | 'unknown-skip'
  | 'duplicate-name'
  | 'ambiguous-bucket';

/** One mistake: where it stands, what is wrong, and what mends it. */
export interface Problem {
  /** Its kind: docs/errors.md has a section for each. */
  readonly code: ProblemCode;
  /** `Class.method`, `scopes.login`, `limits[0]`: where the reader has to look; '' while not known. */
  readonly place: string;
  /** What is wrong, as a sentence. */
  readonly what: string;
  /** What to write instead, as a sentence. */
  readonly mend: string;
}

const line = ({ code, place, what, mend }: Problem): string =>
  `[${code}] ${place === '' ? '' : `${place}: `}${what} ${mend}`;

/**
 * Thrown for a configuration that cannot be meant: at start-up with every mistake found, or at once
 * by a function that was called with one, such as `rate('abc')`.
 *
 * @example
 * try { rate(process.env.LOGIN_RATE ?? '') } catch (error) {
 *   if (error instanceof RateLimitConfigError) console.error(error.problems[0]?.mend);
 * }
 */
export class RateLimitConfigError extends Error {
  override readonly name = 'RateLimitConfigError';

  /** Every mistake found, in the order of the declarations; never empty. */
  declare readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(
      problems.length === 1
        ? line(problems[0] as Problem)
        : `${problems.length} mistakes in the rate limits:\n${problems.map((problem) => `  ${line(problem)}`).join('\n')}`,
    );
    // Node prints what can be enumerated behind the message, which says the same.
    Object.defineProperty(this, 'problems', { value: problems, enumerable: false });
  }
}

brand(RateLimitConfigError, 'RateLimitConfigError');

/** The error for one mistake whose place only the caller knows. */
export const mistake = (code: ProblemCode, what: string, mend: string): RateLimitConfigError =>
  new RateLimitConfigError([{ code, place: '', what, mend }]);

/** Gathers the mistakes of many declarations, so that one error can name them all. */
export class Problems {
  readonly #found: Problem[] = [];

  /** Keeps a mistake; one that many routes run into is kept once. */
  add(code: ProblemCode, place: string, what: string, mend: string): void {
    const problem = { code, place, what, mend };
    const text = line(problem);
    if (!this.#found.some((known) => line(known) === text)) this.#found.push(problem);
  }

  /** What `make` gives, or undefined when it throws a configuration error, which is kept under `place`. */
  try<T>(place: string, make: () => T): T | undefined {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof RateLimitConfigError)) throw error;
      for (const problem of error.problems) {
        this.add(problem.code, problem.place || place, problem.what, problem.mend);
      }
      return undefined;
    }
  }

  get found(): readonly Problem[] {
    return this.#found;
  }

  throwIfAny(): void {
    if (this.#found.length > 0) throw new RateLimitConfigError(this.#found);
  }
}
