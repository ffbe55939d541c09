/** What every count is made of. */
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
  /** The tier that its limit is of; null for all. */
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

/** A call that was answered with an error, or not at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }

  /** Whether another token could help. */
  get isRefusal(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** What went wrong, as a sentence that others can follow. */
export function sentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

const TOKEN = 'rate-limit-admin-token';
const TIMEOUT_MS = 15_000;

/** With the origin in front, since a path that starts with two slashes would name another host. */
const base = `${location.origin}${location.pathname.replace(/\/+$/, '')}/`;

let token = readToken();

function readToken(): string {
  try {
    return sessionStorage.getItem(TOKEN) ?? '';
  } catch {
    // Storage may be forbidden; then the token lives as long as the page.
    return '';
  }
}

export const hasToken = (): boolean => token !== '';

/** Keeps a token until the tab is closed; an empty one forgets it. */
export function useToken(given: string): void {
  token = given;
  try {
    if (given === '') sessionStorage.removeItem(TOKEN);
    else sessionStorage.setItem(TOKEN, given);
  } catch {
    // As above.
  }
}

async function errorOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  const message = (body as { message?: unknown } | null)?.message;
  const text = Array.isArray(message) ? message.join('; ') : message;
  return new ApiError(
    response.status,
    typeof text === 'string' ? text : `The server answered ${response.status}.`,
  );
}

/** Sends a request to the API, and throws `ApiError` for every answer but a good one. */
export async function send(path: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== '') headers.set('Authorization', `Bearer ${token}`);
  const response = await fetch(base + path, { ...init, headers, cache: 'no-store' }).catch((error) => {
    const isLate = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiError(0, isLate ? 'The server does not answer.' : 'The server cannot be reached.');
  });
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function get<Answer>(path: string): Promise<Answer> {
  const response = await send(path, {
    headers: { Accept: 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return response.json().catch(() => {
    throw new ApiError(response.status, 'The answer is not JSON.');
  });
}

/** The header is one that another site cannot send without being asked first. */
async function post(path: string, body: object): Promise<void> {
  await send(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-RateLimit-Admin': '1' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

const client = (identity: string) => `clients/${encodeURIComponent(identity)}`;

export const api = {
  stats: (hours: number) => get<Stats>(`stats?hours=${hours}&top=10`),
  limits: () => get<{ readonly routes: readonly Route[] }>('limits'),
  health: () => get<Health>('health'),
  /** Whether the API wants no token. */
  isOpen: async () => (await send('access', { signal: AbortSignal.timeout(TIMEOUT_MS) })).status === 204,
  client: (identity: string) => get<Client>(client(identity)),
  block: (identity: string, duration: string) => post(`${client(identity)}/block`, { for: duration }),
  unblock: (identity: string) => post(`${client(identity)}/unblock`, {}),
  reset: (identity: string) => post(`${client(identity)}/reset`, {}),
};
