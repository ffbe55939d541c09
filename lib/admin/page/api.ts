/** The members that all counts share. */
export interface Counts {
  readonly total_requests: number;
  readonly allowed: number;
  readonly throttled_requests: number;
  readonly shadow_throttled: number;
  readonly degraded: number;
}

export interface Stats {
  readonly current_hour: {
    readonly total_requests: number;
    readonly throttled_requests: number;
    readonly unique_ips: number;
  };
  readonly top_throttled_ips: readonly { readonly ip: string; readonly throttled: number }[];
  readonly top_throttled_endpoints: readonly { readonly endpoint: string; readonly throttled: number }[];
  readonly by_endpoint: readonly (Counts & { readonly endpoint: string })[];
  readonly by_limit: readonly (Counts & { readonly limit: string; readonly scope: string })[];
  readonly by_user: readonly {
    readonly user: string;
    readonly total_requests: number;
    readonly throttled_requests: number;
  }[];
  readonly hours: readonly (Counts & { readonly hour: string; readonly unique_ips: number })[];
  readonly is_complete: boolean;
}

export interface RouteLimit {
  readonly name: string;
  readonly rate: string;
  readonly key: string;
  readonly algorithm: string;
  readonly cost: number | string;
  readonly shadow: boolean;
  readonly block: string | null;
  readonly methods: readonly string[] | null;
  readonly conditional: boolean;
  readonly counts_when: boolean;
  readonly fail_mode: string;
  readonly source: 'module' | 'class' | 'method' | 'scope';
}

export interface Route {
  readonly route: string;
  readonly transport: string;
  readonly method: string | null;
  readonly path: string | null;
  readonly limits: readonly RouteLimit[];
}

export interface Bucket {
  readonly scope: string;
  readonly name: string;
  /** Tier of its limit; null if it applies to all. */
  readonly tier: string | null;
  readonly limit: number;
  readonly remaining: number;
  readonly reset_at: string | null;
  readonly retry_after_seconds: number | null;
  readonly next_unit_at: string | null;
  readonly blocked_until: string | null;
}

export interface Client {
  readonly identity: string;
  readonly blocked_until: string | null;
  readonly buckets: readonly Bucket[];
}

export interface Health {
  readonly status: 'up' | 'degraded';
  readonly shards: readonly {
    readonly shard: string;
    readonly breaker: 'closed' | 'open' | 'half-open';
    readonly failures: number;
    readonly error: string | null;
    readonly retry_after_seconds: number;
  }[];
  readonly degraded: number;
}

/** A failed API call; status 0 if there was no response. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }

  /** True if another token could help. */
  get isUnauthorized(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** Returns an error's message as a sentence, so that another one can follow. */
export function toSentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

const TOKEN = 'rate-limit-admin-token';
const TIMEOUT_MS = 15_000;

/** Includes the origin, because a path that starts with two slashes would name another host. */
const base = `${location.origin}${location.pathname.replace(/\/+$/, '')}/`;

let token = readToken();

function readToken(): string {
  try {
    return sessionStorage.getItem(TOKEN) ?? '';
  } catch {
    // Storage may be disabled; then the token lives as long as the page.
    return '';
  }
}

export const hasToken = (): boolean => token !== '';

/** Keeps a token until the tab is closed; an empty one deletes it. */
export function setToken(value: string): void {
  token = value;
  try {
    if (value === '') sessionStorage.removeItem(TOKEN);
    else sessionStorage.setItem(TOKEN, value);
  } catch {
    // As above.
  }
}

async function toApiError(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  const message = (body as { message?: unknown } | null)?.message;
  const text = Array.isArray(message) ? message.join('; ') : message;
  return new ApiError(
    response.status,
    typeof text === 'string' ? text : `The server responded with ${response.status}.`,
  );
}

/** Sends a request to the API. Throws `ApiError` for every response that is not successful. */
export async function send(path: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== '') headers.set('Authorization', `Bearer ${token}`);
  const response = await fetch(base + path, { ...init, headers, cache: 'no-store' }).catch((error) => {
    const isTimeout = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiError(0, isTimeout ? 'The server does not respond.' : 'The server cannot be reached.');
  });
  if (!response.ok) throw await toApiError(response);
  return response;
}

async function get<Body>(path: string): Promise<Body> {
  const response = await send(path, {
    headers: { Accept: 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return response.json().catch(() => {
    throw new ApiError(response.status, 'The response is not JSON.');
  });
}

/** Another site cannot send this header without a CORS preflight, which the API does not allow. */
async function post(path: string, body: object): Promise<void> {
  await send(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-RateLimit-Admin': '1' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

const clientPath = (identity: string) => `clients/${encodeURIComponent(identity)}`;

export const api = {
  stats: (hours: number) => get<Stats>(`stats?hours=${hours}&top=10`),
  limits: () => get<{ readonly routes: readonly Route[] }>('limits'),
  health: () => get<Health>('health'),
  /** Returns true if the API accepts requests without a token. */
  isOpen: async () => (await send('access', { signal: AbortSignal.timeout(TIMEOUT_MS) })).status === 204,
  client: (identity: string) => get<Client>(clientPath(identity)),
  block: (identity: string, duration: string) => post(`${clientPath(identity)}/block`, { for: duration }),
  unblock: (identity: string) => post(`${clientPath(identity)}/unblock`, {}),
  reset: (identity: string) => post(`${clientPath(identity)}/reset`, {}),
};
