/** Parses server-sent events: returns the data of the complete ones, and the incomplete rest. */
export function parseEvents(text: string): { readonly data: readonly string[]; readonly rest: string } {
  const blocks = text.split(/\r\n\r\n|\n\n|\r\r/);
  const rest = blocks.pop() ?? '';
  const data = blocks.map((block) =>
    block
      .split(/\r\n|\n|\r/)
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(5).trimStart())
      .join('\n'),
  );
  return { data: data.filter((text) => text !== ''), rest };
}
