import { describeValue, ErrorCollector } from './errors.js';

/** The values that an option accepts. */
export interface OptionRule {
  readonly accepts: (value: unknown) => boolean;
  /** The fix for every other value, as a sentence. */
  readonly fix: string;
}

/** A rule for each option; null for an option that the code that uses it validates. */
export type OptionRules<Name extends string = string> = Readonly<Record<Name, OptionRule | null>>;

export const isFunction = (value: unknown): boolean => typeof value === 'function';
export const isNonEmptyString = (value: unknown): boolean => typeof value === 'string' && value !== '';
export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Accepts integers within these bounds. */
export const isInteger =
  (min: number, max: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

/** Accepts objects whose options fit their rules: for an option that has options of its own. */
export const areOptions =
  (rules: OptionRules) =>
  (value: unknown): boolean =>
    isObject(value) &&
    Object.entries(value).every(([name, option]) => Object.hasOwn(rules, name) && fits(rules[name], option));

export const BOOLEAN: OptionRule = {
  accepts: (value) => typeof value === 'boolean',
  fix: 'Give true or false.',
};
export const FUNCTION: OptionRule = { accepts: isFunction, fix: 'Give a function, or leave it out.' };

/** Accepts integers within these bounds. */
export const wholeNumber = (min: number, max: number): OptionRule => ({
  accepts: isInteger(min, max),
  fix: `Give a whole number from ${min} to ${max}.`,
});

/** Accepts one of these texts. */
export const oneOf = (...words: readonly string[]): OptionRule => ({
  accepts: (value) => (words as readonly unknown[]).includes(value),
  fix: `Give ${words.map((word) => `'${word}'`).join(' or ')}, or leave it out.`,
});

// Undefined stands for an option that is left out.
const fits = (rule: OptionRule | null | undefined, value: unknown): boolean =>
  !rule || value === undefined || rule.accepts(value);

/**
 * Returns the options that fit their rules, and adds a `bad-option` error for the others. A misspelled name
 * is an error, because otherwise it would silently leave a limit out.
 *
 * @param where The place that errors name; '' if only the caller knows it.
 * @param hint A sentence that ends the fix for a value that is not an object, and for unknown options.
 */
export function acceptedOptions(
  options: unknown,
  rules: OptionRules,
  errors: ErrorCollector,
  where: string,
  hint = '',
): Record<string, unknown> {
  const accepted: Record<string, unknown> = {};
  const unknown: string[] = [];
  const add = (message: string, ...fix: readonly string[]): void =>
    errors.add('bad-option', where, message, fix.filter((sentence) => sentence !== '').join(' '));
  if (!isObject(options)) {
    add(`Expected an object of options, but got ${describeValue(options)}.`, 'Give an object.', hint);
    return accepted;
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(rules, name)) unknown.push(name);
    else if (fits(rules[name], value)) accepted[name] = value;
    else add(`${name} cannot be ${describeValue(value)}.`, rules[name]?.fix ?? '');
  }
  if (unknown.length > 0) {
    const names = unknown.map(describeValue).join(', ');
    const list = `The options are ${Object.keys(rules).join(', ')}.`;
    add(`Unknown option${unknown.length === 1 ? '' : 's'} ${names}.`, list, hint);
  }
  return accepted;
}

/**
 * Checks an object of options: see {@link acceptedOptions}.
 *
 * @throws RateLimitConfigError `bad-option`, naming every unknown option and every value that does not fit.
 */
export function validateOptions(options: unknown, rules: OptionRules, where: string, hint = ''): void {
  const errors = new ErrorCollector();
  acceptedOptions(options, rules, errors, where, hint);
  errors.throwIfAny();
}
