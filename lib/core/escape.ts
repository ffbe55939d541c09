// White space and control characters mean nothing to a key but end a line in a log or a shell.
const NON_PRINTABLE = '\\u0000-\\u0020\\u007f';

const percentEncode = (char: string): string =>
  `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/** A function that percent-encodes `marks`, `%` and what does not print: two texts never come out equal. */
function createEscaper(marks: string): (text: string) => string {
  const one = new RegExp(`[%${marks}${NON_PRINTABLE}]`);
  const each = new RegExp(one, 'g');
  return (text) => (one.test(text) ? text.replace(each, percentEncode) : text);
}

/** `text` as one segment of a bucket's key, between its colons. */
export const escapeSegment = createEscaper(':{}');

/**
 * `text` as the value of an identity: `+` joins identities, braces are a Redis hash tag, and `~`
 * begins a value of which only the hash is kept.
 */
export const escapeValue = createEscaper('+{}~');

// The codes that escapeValue writes: of %, +, {, }, ~ and of what does not print.
const ESCAPE_SEQUENCE = '%(?:25|2B|7B|7D|7E|7F|20|[01][0-9A-F])';
const ENCODED = new RegExp(`^(?:[^%]|${ESCAPE_SEQUENCE})*$`, 's');
const EACH_ESCAPE_SEQUENCE = new RegExp(ESCAPE_SEQUENCE, 'g');

/** What {@link escapeValue} was given; a text that it cannot have written comes back as it is. */
export const unescapeValue = (text: string): string =>
  ENCODED.test(text)
    ? text.replace(EACH_ESCAPE_SEQUENCE, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
    : text;
