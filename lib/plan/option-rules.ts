import { mistake } from '../core/errors.js';
import { shown } from '../core/shown.js';

/** What an option must be. */
export interface OptionRule {
  readonly fits: (value: unknown) => boolean;
  /** What to give instead. */
  readonly mend: string;
}

/** A rule for every option that there is; null for one that is checked where it is used. */
export type OptionRules<Name extends string = string> = Readonly<Record<Name, OptionRule | null>>;

export const isFunction = (value: unknown): boolean => typeof value === 'function';
export const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether a value is a whole number within these bounds. */
export const isWhole =
  (least: number, most: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

export const A_BOOLEAN: OptionRule = {
  fits: (value) => typeof value === 'boolean',
  mend: 'Give true or false.',
};
export const A_FUNCTION: OptionRule = { fits: isFunction, mend: 'Give a function, or leave it out.' };

/** One of these words. */
export const oneOf = (...words: readonly string[]): OptionRule => ({
  fits: (value) => (words as readonly unknown[]).includes(value),
  mend: `Give ${words.map((word) => `'${word}'`).join(' or ')}, or leave it out.`,
});

/**
 * Checks that there are options of these names.
 *
 * @param where Where there may be none of another name, such as `of a limit`.
 * @throws RateLimitConfigError `bad-option`: a word misspelt must not leave a limit out.
 */
export function checkNames(names: readonly string[], offered: readonly string[], where: string): void {
  const strange = names.filter((name) => !offered.includes(name));
  if (strange.length === 0) return;
  throw mistake(
    'bad-option',
    `There is no option ${strange.map(shown).join(' and no option ')} ${where}.`,
    `The options are ${offered.join(', ')}.`,
  );
}

/**
 * Checks one option; undefined stands for one that was left out.
 *
 * @throws RateLimitConfigError `bad-option` for one that there is not, or that cannot be meant.
 */
export function checkOption(name: string, value: unknown, rules: OptionRules, where: string): void {
  checkNames([name], Object.keys(rules), where);
  const rule = rules[name];
  if (!rule || value === undefined || rule.fits(value)) return;
  throw mistake('bad-option', `${name} cannot be ${shown(value)}.`, rule.mend);
}
