// White space and control characters mean nothing to a key, but end a line in a log or a shell.
const NON_PRINTABLE = '\\u0000-\\u0020\\u007f';

const percentEncode = (char: string): string =>
  `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/**
 * Creates a function that percent-encodes `marks`, `%` and what does not print. Different texts stay
 * different.
 */
function createEscaper(marks: string): (text: string) => string {
  const any = new RegExp(`[%${marks}${NON_PRINTABLE}]`);
  const each = new RegExp(any, 'g');
  return (text) => (any.test(text) ? text.replace(each, percentEncode) : text);
}

/** Escapes a text for one segment of a bucket's key, between its colons. */
export const escapeSegment = createEscaper(':{}');

/**
 * Escapes a text for the value of an identity: `+` joins identities, braces are a Redis hash tag, and `~`
 * begins a value of which only the hash is kept.
 */
export const escapeValue = createEscaper('+{}~');

// The sequences that escapeValue writes: for %, +, {, }, ~ and for what does not print.
const ESCAPE_SEQUENCE = '%(?:25|2B|7B|7D|7E|7F|20|[01][0-9A-F])';
const ENCODED = new RegExp(`^(?:[^%]|${ESCAPE_SEQUENCE})*$`, 's');
const EACH_ESCAPE_SEQUENCE = new RegExp(ESCAPE_SEQUENCE, 'g');

/** Reverses {@link escapeValue}. Returns a text that it cannot have written as it is. */
export const unescapeValue = (text: string): string =>
  ENCODED.test(text)
    ? text.replace(EACH_ESCAPE_SEQUENCE, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
    : text;
