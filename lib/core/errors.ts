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
  readonly source: string;
  /** What is wrong, as a sentence. */
  readonly message: string;
  /** What to write instead, as a sentence. */
  readonly fix: string;
}

const formatProblem = ({ code, source, message, fix }: Problem): string =>
  `[${code}] ${source === '' ? '' : `${source}: `}${message} ${fix}`;

/**
 * Thrown for a configuration that cannot be meant: at start-up with every mistake found, or at once
 * by a function that was called with one, such as `rate('abc')`.
 *
 * @example
 * try { rate(process.env.LOGIN_RATE ?? '') } catch (error) {
 *   if (error instanceof RateLimitConfigError) console.error(error.problems[0]?.fix);
 * }
 */
export class RateLimitConfigError extends Error {
  override readonly name = 'RateLimitConfigError';

  /** Every mistake found, in the order of the declarations; never empty. */
  declare readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(
      problems.length === 1
        ? formatProblem(problems[0] as Problem)
        : `${problems.length} mistakes in the rate limits:\n${problems.map((problem) => `  ${formatProblem(problem)}`).join('\n')}`,
    );
    // Node prints what can be enumerated behind the message, which says the same.
    Object.defineProperty(this, 'problems', { value: problems, enumerable: false });
  }
}

brand(RateLimitConfigError, 'RateLimitConfigError');

/** The error for one mistake whose place only the caller knows. */
export const configError = (code: ProblemCode, message: string, fix: string): RateLimitConfigError =>
  new RateLimitConfigError([{ code, source: '', message, fix }]);

/** Gathers the mistakes of many declarations, so that one error can name them all. */
export class ErrorCollector {
  readonly #errors: Problem[] = [];

  /** Keeps a mistake; one that many routes run into is kept once. */
  add(code: ProblemCode, source: string, message: string, fix: string): void {
    const problem = { code, source, message, fix };
    const text = formatProblem(problem);
    if (!this.#errors.some((known) => formatProblem(known) === text)) this.#errors.push(problem);
  }

  /** What `make` gives, or undefined when it throws a configuration error, which is kept under `source`. */
  try<T>(source: string, make: () => T): T | undefined {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof RateLimitConfigError)) throw error;
      for (const problem of error.problems) {
        this.add(problem.code, problem.source || source, problem.message, problem.fix);
      }
      return undefined;
    }
  }

  get errors(): readonly Problem[] {
    return this.#errors;
  }

  throwIfAny(): void {
    if (this.#errors.length > 0) throw new RateLimitConfigError(this.#errors);
  }
}

const MAX_TEXT = 100;
const MAX_KEYS = 10;

/**
 * A value in an error or a log: texts and numbers as they are, on one line and not for ever; objects by
 * what they are, since their contents may be circular, or a password.
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
