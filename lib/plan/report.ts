import { shown } from '../core/shown.js';

/**
 * Hears of what goes wrong while requests are decided: the place, such as `AuthController.login`, what
 * went wrong in words that are always the same, and what came with it: an error, or a value of a client.
 */
export type Report = (place: string, what: string, detail?: unknown) => void;

/** For how many milliseconds the same thing is said once at most. */
export const QUIET_MS = 60_000;

/** What came with a report, on one line: clients choose it. */
export const inShort = (detail: unknown): string =>
  detail instanceof Error ? `Cause: ${shown(detail.message)}` : `It was ${shown(detail)}.`;

/** A call that may be asked again, once its user is known: until then nothing that goes wrong in it counts. */
interface MaybePremature {
  readonly isPremature?: boolean;
}

const UNHEARD: Report = () => undefined;

/** Where to report what goes wrong for a context. */
export const reportFor = (context: unknown, report: Report): Report =>
  (context as MaybePremature).isPremature === true ? UNHEARD : report;
