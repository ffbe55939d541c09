const { fromCharCode } = String;

/** The same text on its own: one cut out of a longer text, such as a header's, would keep all of that in memory. */
export function copyString(text: string): string {
  const codes = new Array<number>(text.length);
  for (let at = 0; at < text.length; at++) codes[at] = text.charCodeAt(at);
  return fromCharCode.apply(null, codes);
}
