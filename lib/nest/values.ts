import { parseCookie } from 'cookie';
import type { ValueSource } from '../key/caller.js';
import type { CallValues } from './transports/transport.js';

/** What an object holds itself under a name: `__proto__` and the like are nobody's. */
const own = (holder: unknown, name: string): unknown =>
  typeof holder === 'object' && holder !== null && Object.hasOwn(holder, name)
    ? (holder as Record<string, unknown>)[name]
    : undefined;

/** What a call holds under a name; a cookie as it has been parsed, else from the header. */
export const findValue = (
  source: Exclude<ValueSource, 'header'>,
  name: string,
  values: CallValues,
  header: (name: string) => string | undefined,
): unknown =>
  own(source === 'cookie' ? (values.cookie ?? parseCookie(header('cookie') ?? '')) : values[source], name);
