// White space and control characters mean nothing to a key but end a line in a log or a shell.
const UNPRINTED = '\\u0000-\\u0020\\u007f';

const percent = (char: string): string =>
  `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/** A function that percent-encodes `marks`, `%` and what does not print: two texts never come out equal. */
function escaperOf(marks: string): (text: string) => string {
  const one = new RegExp(`[%${marks}${UNPRINTED}]`);
  const each = new RegExp(one, 'g');
  return (text) => (one.test(text) ? text.replace(each, percent) : text);
}

/** `text` as one segment of a bucket's key, between its colons. */
export const escapeSegment = escaperOf(':{}');

/**
 * `text` as the value of an identity: `+` joins identities, braces are a Redis hash tag, and `~`
 * begins a value of which only the hash is kept.
 */
export const escapeValue = escaperOf('+{}~');

// The codes that escapeValue writes: of %, +, {, }, ~ and of what does not print.
const CODE = '%(?:25|2B|7B|7D|7E|7F|20|[01][0-9A-F])';
const WRITTEN = new RegExp(`^(?:[^%]|${CODE})*$`, 's');
const EACH_CODE = new RegExp(CODE, 'g');

/** What {@link escapeValue} was given; a text that it cannot have written comes back as it is. */
export const unescapeValue = (text: string): string =>
  WRITTEN.test(text)
    ? text.replace(EACH_CODE, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
    : text;
