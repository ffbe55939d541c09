// Serves the live page with made-up data, to work on it without an application:
//   node test/support/admin-page-server.mjs [--port 4000] [--token] [--degraded] [--empty] [--failing]
// It stands at /admin/rate-limits, is made anew for every load, and with --token asks for the token `staff`.
import { createServer } from 'node:http';
import { makePage } from '../../scripts/embed-page.mjs';

const has = (name) => process.argv.includes(`--${name}`);
const port = Number(process.argv[process.argv.indexOf('--port') + 1]) || 4000;
const PATH = '/admin/rate-limits';
const HOUR_MS = 3_600_000;

const UNITS_MS = { s: 1_000, min: 60_000, h: HOUR_MS, d: 24 * HOUR_MS };

const random = (least, most) => Math.floor(least + Math.random() * (most - least + 1));
const soon = (ms) => new Date(Date.now() + ms).toISOString();

const ENDPOINTS = [
  ['POST', '/auth/login', 'AuthController.login', 9],
  ['GET', '/products/search', 'CatalogueController.search', 40],
  ['GET', '/products/:id', 'CatalogueController.retrieve', 70],
  ['POST', '/orders', 'OrdersController.create', 12],
  ['POST', '/orders/:id/payment', 'OrdersController.pay', 4],
  ['GET', '/account/report', 'AccountController.report', 6],
  ['POST', '/account/uploads', 'AccountController.upload', 3],
  ['GET', '/integrations/orders', 'IntegrationsController.orders', 30],
  ...Array.from({ length: 14 }, (_, at) => ['GET', `/pages/${at + 1}`, `PagesController.page${at + 1}`, 2]),
];
const LIMITS = ['burst', 'anon', 'user', 'login', 'login-address', 'search', 'order-create', 'payment'];
const DENIED = ['203.0.113.7', '198.51.100.23', '2001:db8:17::/64', '192.0.2.144', '198.51.100.8'];

function counts(total) {
  const denied = Math.round(total * Math.random() * 0.15);
  return {
    total_requests: total,
    allowed: total - denied,
    throttled_requests: denied,
    shadow_throttled: Math.round(denied * 0.3),
    degraded: has('degraded') ? Math.round(total * 0.2) : 0,
  };
}

/** What the numbers grow from: the page is opened in the middle of a busy day. */
const started = Date.now() - 40 * 60_000;
const hoursBack = Array.from({ length: 168 }, (_, back) => {
  const hour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - back * HOUR_MS;
  const busy = 1.2 + Math.sin((new Date(hour).getHours() / 24) * 2 * Math.PI - 2);
  const all = counts(Math.round(busy * random(9_000, 12_000)));
  return { hour: new Date(hour).toISOString(), ...all, unique_ips: random(400, 900) };
}).reverse();
const first = ENDPOINTS.map(([, , , weight]) => counts(weight * 900));

function stats(hours) {
  const grown = (Date.now() - started) / 1_000;
  const now = hoursBack.at(-1);
  if (has('empty')) {
    return {
      current_hour: { total_requests: 0, throttled_requests: 0, unique_ips: 0 },
      top_throttled_ips: [],
      top_throttled_endpoints: [],
      by_endpoint: [],
      by_limit: [],
      by_user: [],
      hours: [],
      is_complete: true,
    };
  }
  now.total_requests = Math.round(grown * 4);
  now.throttled_requests = Math.round(grown * 0.3);
  now.allowed = now.total_requests - now.throttled_requests;
  const byEndpoint = ENDPOINTS.map(([method, path], at) => ({ endpoint: `${method} ${path}`, ...first[at] }));
  first[0].throttled_requests += random(0, 3);
  return {
    current_hour: {
      total_requests: now.total_requests,
      throttled_requests: now.throttled_requests,
      unique_ips: 412,
    },
    top_throttled_ips: DENIED.map((ip, at) => ({ ip, throttled: Math.round(grown / (at + 3)) })),
    top_throttled_endpoints: byEndpoint
      .map(({ endpoint, throttled_requests }) => ({ endpoint, throttled: throttled_requests }))
      .sort((a, b) => b.throttled - a.throttled)
      .slice(0, 10),
    by_endpoint: byEndpoint,
    by_limit: LIMITS.map((limit, at) => ({ limit, ...first[at] })),
    by_user: ['42', '7', 'a.long.name@example.org', '1001'].map((user, at) => ({
      user,
      total_requests: 900 - at * 200,
      throttled_requests: 40 - at * 9,
    })),
    hours: hoursBack.slice(-hours),
    is_complete: !has('degraded'),
  };
}

const limit = (name, rate, more = {}) => ({
  name,
  rate,
  key: 'ip',
  algorithm: 'sliding-window',
  cost: 1,
  shadow: false,
  block: null,
  fail_mode: 'local',
  source: 'scope',
  ...more,
});

const routes = () =>
  ENDPOINTS.map(([method, path, route], at) => ({
    route,
    transport: 'http',
    method,
    path,
    limits: [
      limit('burst', '60/min', { key: 'user|ip', source: 'module' }),
      ...(at === 0
        ? [
            limit('login', '5/15min', { key: 'ip+body:email', block: '15min' }),
            limit('login-account', '100/day', { key: 'body:email', shadow: true }),
          ]
        : []),
      ...(at === 4 ? [limit('payment', '10/hour', { key: 'user', fail_mode: 'closed' })] : []),
      ...(at === 5
        ? [limit('report-0', '10/min', { algorithm: 'token-bucket', source: 'method', cost: 5 })]
        : []),
    ],
  })).concat({ route: 'ChatGateway.message', transport: 'ws', method: null, path: null, limits: [] });

const blocked = new Map();
const fresh = new Set();

function client(identity) {
  const until = blocked.get(identity);
  const isFresh = fresh.has(identity);
  const bucket = (scope, name, size, remaining, fullMs) => ({
    scope,
    name,
    limit: size,
    remaining: isFresh ? size : remaining,
    reset_at: isFresh || fullMs === 0 ? null : soon(fullMs),
    retry_after_seconds: !isFresh && remaining === 0 ? Math.ceil(fullMs / 2_000) : null,
    next_unit_at: isFresh || fullMs === 0 ? null : soon(fullMs / 2),
    blocked_until: !isFresh && name === 'login' ? soon(640_000) : null,
  });
  return {
    identity,
    blocked_until: until === undefined || until < Date.now() ? null : new Date(until).toISOString(),
    buckets: [
      bucket('search', 'search', 200, 200, 0),
      bucket('login', 'login', 5, 0, 840_000),
      bucket('login', 'login-address', 20, 3, 620_000),
      bucket('order-create', 'order-create', 20, 14, 2_900_000),
      bucket('global', 'burst', 60, 41, 60_000),
      { ...bucket('closed-route', 'closed-route', 0, 0, 0), next_unit_at: null },
    ],
  };
}

const health = () => ({
  status: has('degraded') ? 'degraded' : 'up',
  parts: [
    has('degraded')
      ? {
          part: '10.0.0.4:6379',
          breaker: 'open',
          failures: 12,
          error: 'connect ECONNREFUSED 10.0.0.4:6379',
          retry_after_seconds: 1,
        }
      : { part: '', breaker: 'closed', failures: 0, error: null, retry_after_seconds: 0 },
  ],
  degraded: has('degraded') ? 1_284 : 0,
});

function live(response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  let at = Date.now() - (has('empty') ? 0 : 280_000);
  const next = () => {
    const wave = 60 + 30 * Math.sin(at / 20_000);
    const total = has('empty') ? 0 : Math.round(wave + random(0, 20));
    const denied = Math.round(total * (Math.sin(at / 35_000) > 0.6 ? 0.4 : 0.05));
    const second = {
      at: new Date(at).toISOString(),
      total,
      allowed: total - denied,
      denied,
      shadow_denied: Math.round(denied / 4),
      degraded: 0,
      store: health().status,
    };
    at += 1_000;
    response.write(`data: ${JSON.stringify(second)}\n\n`);
  };
  // So that the chart need not be waited for, it starts with what happened before.
  while (at < Date.now()) next();
  const timer = setInterval(next, 1_000);
  response.on('close', () => clearInterval(timer));
}

function json(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

const refuse = (response, statusCode, message) => json(response, statusCode, { statusCode, message });

async function change(request, response, identity, action) {
  if (
    request.headers['x-ratelimit-admin'] !== '1' ||
    request.headers['content-type'] !== 'application/json'
  ) {
    return refuse(response, 403, 'Cross-site request.');
  }
  let text = '';
  for await (const chunk of request) text += chunk;
  if (action === 'block') {
    const [, number, unit] = /^(\d+)(s|min|h|d)$/.exec(JSON.parse(text).for) ?? [];
    if (unit === undefined) return refuse(response, 400, 'for is not a duration.');
    blocked.set(identity, Date.now() + number * UNITS_MS[unit]);
  } else if (action === 'unblock') blocked.delete(identity);
  else fresh.add(identity);
  response.writeHead(204).end();
}

async function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  const path = url.pathname.slice(PATH.length).replace(/^\//, '');
  if (!url.pathname.startsWith(PATH)) return refuse(response, 404, 'Not found.');
  if (path === '') {
    const { page, csp } = await makePage();
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': csp });
    return response.end(page);
  }
  if (has('token') && request.headers.authorization !== 'Bearer staff') {
    return refuse(response, 401, 'Unauthorized');
  }
  if (has('failing')) return refuse(response, 500, 'Internal server error');
  const [, identity, action] = /^clients\/([^/]+)(?:\/(block|unblock|reset))?$/.exec(path) ?? [];
  if (identity !== undefined) {
    const who = decodeURIComponent(identity);
    if (action !== undefined) return change(request, response, who, action);
    if (!who.includes(':')) return refuse(response, 400, `${who} is not an identity: write kind:value.`);
    return json(response, 200, client(who));
  }
  if (path === 'stats') return json(response, 200, stats(Number(url.searchParams.get('hours'))));
  if (path === 'limits') return json(response, 200, { routes: routes() });
  if (path === 'health') return json(response, 200, health());
  if (path === 'live') return live(response);
  refuse(response, 404, 'Not found.');
}

createServer((request, response) => {
  answer(request, response).catch((error) => refuse(response, 500, error.message));
}).listen(port, () => console.log(`http://localhost:${port}${PATH}/`));
