const LONGEST = 100;
const MOST_NAMES = 10;

/**
 * A value in an error or a log: texts and numbers as they are, on one line and not for ever; objects by
 * what they are, since their contents may be circular, or a password.
 */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, LONGEST));
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'a list';
  if (typeof value !== 'object' || value === null) return String(value);
  const type: unknown = value.constructor;
  if (typeof type === 'function' && type !== Object) return `an object of class ${type.name}`;
  const names = Object.keys(value).slice(0, MOST_NAMES);
  return `{ ${names.map((name) => (/^\w{1,30}$/.test(name) ? name : JSON.stringify(name.slice(0, 30)))).join(', ')} }`;
}
