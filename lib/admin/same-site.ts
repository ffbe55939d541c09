import { ForbiddenException } from '@nestjs/common';
import type { RequestLike } from '../nest/context/transports/transport.js';

/** A header that no form and no link can carry, and that other sites may send only where they are allowed to. */
export const ADMIN_HEADER = 'x-ratelimit-admin';

const hostOf = (origin: string): string | null => (URL.canParse(origin) ? new URL(origin).host : null);

/** What a request may have been sent to, also behind a proxy that says so, and over HTTP/2. */
const hostsOf = ({ headers = {} }: RequestLike): readonly unknown[] => [
  headers.host,
  headers[':authority'],
  headers['x-forwarded-host'],
];

/**
 * Whether a browser sends a request for another site: by what it says itself, or else, as without TLS, by its origin.
 */
function isCrossSite(request: RequestLike): boolean {
  const { 'sec-fetch-site': site, origin } = request.headers ?? {};
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  return typeof origin === 'string' && !hostsOf(request).includes(hostOf(origin));
}

/** Throws 403 for what a browser sends for another site, and for a change without the header that forms cannot carry. */
export function rejectCrossSite(request: RequestLike): void {
  if (isCrossSite(request)) throw new ForbiddenException('The admin API is not for other sites.');
  if (request.method === 'GET' || request.headers?.[ADMIN_HEADER] !== undefined) return;
  throw new ForbiddenException('Send the header X-RateLimit-Admin: 1 with what changes anything.');
}
