/**
 * Hears of what goes wrong while requests are decided: the place, such as `AuthController.login`, what
 * went wrong in words that are always the same, and what came with it: an error, or a value of a client.
 */
export type Report = (place: string, what: string, detail?: unknown) => void;

const LONGEST_DETAIL = 100;

/** What came with a report, short and on one line: clients choose it. Objects are named, not shown. */
export function inShort(detail: unknown): string {
  if (detail instanceof Error) return `Cause: ${JSON.stringify(detail.message.slice(0, LONGEST_DETAIL))}`;
  if (typeof detail === 'object' || typeof detail === 'function') return `It was of type ${typeof detail}.`;
  return `It was ${JSON.stringify(String(detail).slice(0, LONGEST_DETAIL))}.`;
}
