import { copyOf } from '../core/copy.js';

/** So many addresses: most that come soon come again. */
const MOST = 10_000;
/** No address without a zone is longer, and a zone is as long as its sender likes. */
const LONGEST = 45;

/** `find`, with what it has found for addresses before: that takes longer than deciding a request. */
export function remembered<T extends string | boolean | null>(
  find: (address: string) => T,
): (address: string) => T {
  const known = new Map<string, T>();
  return (address) => {
    const before = known.get(address);
    if (before !== undefined) return before;
    const found = find(address);
    if (address.length > LONGEST) return found;
    if (known.size >= MOST) known.clear();
    known.set(copyOf(address), found);
    return found;
  };
}
