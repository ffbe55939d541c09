import { brand } from './brand.js';

/** The kind of a configuration error. Stable: `docs/errors.md` has a section for each code. */
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
  | 'missing-phase'
  | 'ambiguous-bucket';

/** One configuration error: where it is, what is wrong, and how to fix it. */
export interface Problem {
  /** The kind of error. `docs/errors.md` has a section for each code. */
  readonly code: ProblemCode;
  /** The place to look at: `Class.method`, `scopes.login`, `limits[0]`; '' while it is not known. */
  readonly source: string;
  /** A sentence that says what is wrong. */
  readonly message: string;
  /** A sentence that says what to write instead. */
  readonly fix: string;
}

const formatProblem = ({ code, source, message, fix }: Problem): string =>
  `[${code}] ${source === '' ? '' : `${source}: `}${message} ${fix}`;

/**
 * Thrown for an invalid configuration: at start-up with every error found, or immediately by a function such
 * as `rate('abc')`.
 *
 * @example
 * try { rate(process.env.LOGIN_RATE ?? '') } catch (error) {
 *   if (error instanceof RateLimitConfigError) console.error(error.problems[0]?.fix);
 * }
 */
export class RateLimitConfigError extends Error {
  override readonly name = 'RateLimitConfigError';

  /** Every error found, in the order of the declarations; never empty. */
  declare readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(
      problems.length === 1
        ? formatProblem(problems[0] as Problem)
        : `${problems.length} errors in the rate limit configuration:\n${problems.map((problem) => `  ${formatProblem(problem)}`).join('\n')}`,
    );
    // Node prints enumerable properties behind the message, which already contains the problems.
    Object.defineProperty(this, 'problems', { value: problems, enumerable: false });
  }
}

brand(RateLimitConfigError, 'RateLimitConfigError');

/** Creates an error without a source, which only the caller knows. */
export const configError = (code: ProblemCode, message: string, fix: string): RateLimitConfigError =>
  new RateLimitConfigError([{ code, source: '', message, fix }]);

/** Throws a configuration error without a source unless `isValid`. */
export function assertConfig(
  isValid: boolean,
  code: ProblemCode,
  message: string,
  fix: string,
): asserts isValid {
  if (!isValid) throw configError(code, message, fix);
}

/** Collects the errors of many declarations, so that all of them are thrown together. */
export class ErrorCollector {
  readonly errors: Problem[] = [];

  /** Adds an error. An error that many routes share is kept once. */
  add(code: ProblemCode, source: string, message: string, fix: string): void {
    const problem = { code, source, message, fix };
    const text = formatProblem(problem);
    if (!this.errors.some((other) => formatProblem(other) === text)) this.errors.push(problem);
  }

  /**
   * Returns the result of `make`. When it throws a configuration error, adds that under `source` and returns
   * undefined.
   */
  try<T>(source: string, make: () => T): T | undefined {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof RateLimitConfigError)) throw error;
      for (const problem of error.problems) {
        this.add(problem.code, problem.source || source, problem.message, problem.fix);
      }
    }
  }

  throwIfAny(): void {
    if (this.errors.length > 0) throw new RateLimitConfigError(this.errors);
  }
}

const MAX_TEXT = 100;
const MAX_KEYS = 10;

/**
 * Returns a value as text for an error or a log: strings and numbers as they are, on one line and shortened;
 * objects by their class or keys, since their contents may be circular, or a password.
 */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_TEXT));
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'a list';
  if (typeof value !== 'object' || value === null) return String(value);
  const type: unknown = value.constructor;
  if (typeof type === 'function' && type !== Object) return `an object of class ${type.name}`;
  const names = Object.keys(value).slice(0, MAX_KEYS);
  return `{ ${names.map((name) => (/^\w{1,30}$/.test(name) ? name : JSON.stringify(name.slice(0, 30)))).join(', ')} }`;
}
