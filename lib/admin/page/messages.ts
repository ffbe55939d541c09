/** The data of the whole messages in a text of server-sent events, and the rest, which is none yet. */
export function messagesIn(text: string): { readonly data: readonly string[]; readonly rest: string } {
  const blocks = text.split(/\r\n\r\n|\n\n|\r\r/);
  const rest = blocks.pop() ?? '';
  const data = blocks.map((block) =>
    block
      .split(/\r\n|\n|\r/)
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(5).trimStart())
      .join('\n'),
  );
  return { data: data.filter((one) => one !== ''), rest };
}
