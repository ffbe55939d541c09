import { configError, describeValue } from './errors.js';

/** What an option must be. */
export interface OptionRule {
  readonly accepts: (value: unknown) => boolean;
  /** What to give instead. */
  readonly fix: string;
}

/** A rule for every option that there is; null for one that is checked where it is used. */
export type OptionRules<Name extends string = string> = Readonly<Record<Name, OptionRule | null>>;

export const isFunction = (value: unknown): boolean => typeof value === 'function';
export const isNonEmptyString = (value: unknown): boolean => typeof value === 'string' && value !== '';
export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether a value is a whole number within these bounds. */
export const isInteger =
  (min: number, max: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

export const BOOLEAN: OptionRule = {
  accepts: (value) => typeof value === 'boolean',
  fix: 'Give true or false.',
};
export const FUNCTION: OptionRule = { accepts: isFunction, fix: 'Give a function, or leave it out.' };

/** One of these words. */
export const oneOf = (...words: readonly string[]): OptionRule => ({
  accepts: (value) => (words as readonly unknown[]).includes(value),
  fix: `Give ${words.map((word) => `'${word}'`).join(' or ')}, or leave it out.`,
});

/**
 * Checks that there are options of these names.
 *
 * @param where Where there may be none of another name, such as `of a limit`.
 * @throws RateLimitConfigError `bad-option`: a word misspelt must not leave a limit out.
 */
export function rejectUnknownOptions(
  names: readonly string[],
  offered: readonly string[],
  where: string,
): void {
  const unknown = names.filter((name) => !offered.includes(name));
  if (unknown.length === 0) return;
  throw configError(
    'bad-option',
    `There is no option ${unknown.map(describeValue).join(' and no option ')} ${where}.`,
    `The options are ${offered.join(', ')}.`,
  );
}

/**
 * Checks one option; undefined stands for one that was left out.
 *
 * @throws RateLimitConfigError `bad-option` for one that there is not, or that cannot be meant.
 */
export function validateOption(name: string, value: unknown, rules: OptionRules, where: string): void {
  rejectUnknownOptions([name], Object.keys(rules), where);
  const rule = rules[name];
  if (!rule || value === undefined || rule.accepts(value)) return;
  throw configError('bad-option', `${name} cannot be ${describeValue(value)}.`, rule.fix);
}
