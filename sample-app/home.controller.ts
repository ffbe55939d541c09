import { Controller, Get, Header, Req } from '@nestjs/common';
import { RateLimitHealthIndicator, SkipRateLimit } from 'nestjs-ratelimit';
import { USERS } from './users.js';

interface Example {
  readonly limit: string;
  readonly what: string;
  readonly curl: string;
}

const post = (path: string, more = '') => `curl -i -X POST ${more}{url}${path}`;
const as = (token: string) => `-H 'Authorization: Bearer ${token}' `;

const EXAMPLES: readonly Example[] = [
  {
    limit:
      'login, 5 in 15 minutes by address and e-mail (presets, several limits in a scope, body: keys, countWhen)',
    what: 'The sixth wrong password is denied; correct ones do not count',
    curl: `for i in 1 2 3 4 5 6; do ${post('/auth/login', `-H 'Content-Type: application/json' -d '{"email":"alice@example.org","password":"guess"}' `)}; done`,
  },
  { limit: 'register, 3 an hour', what: 'Sign up', curl: post('/auth/register') },
  {
    limit: 'password-reset, 3 an hour, and a longer block each time (block)',
    what: 'Forgot the password',
    curl: post('/auth/password-reset'),
  },
  { limit: 'email-verify, 5 an hour', what: 'Confirm an address', curl: post('/auth/email-verify') },
  {
    limit: 'search, 200 an hour; an empty search does not count (skipIf)',
    what: 'Search',
    curl: `curl -i '{url}/products/search?q=tea'`,
  },
  { limit: 'list, 500 an hour', what: 'All products', curl: 'curl -i {url}/products' },
  { limit: 'retrieve, 1000 an hour', what: 'One product', curl: 'curl -i {url}/products/1' },
  {
    limit: 'stock, a token bucket of 5 that gains one a second',
    what: 'The sixth is denied; one second later the next one passes',
    curl: 'for i in 1 2 3 4 5 6; do curl -i {url}/products/1/stock; done',
  },
  {
    limit: 'cart, 100 an hour by user, otherwise by cookie; writes 60 an hour (methods, cookie: keys)',
    what: 'The cart',
    curl: 'curl -i {url}/cart',
  },
  { limit: 'order-create, 20 an hour by user', what: 'Order', curl: post('/orders', as('alice-token')) },
  {
    limit:
      'payment, 10 an hour by user, 3 for each order (param: keys); 503 while the store fails (failMode)',
    what: 'Pay',
    curl: post('/orders/1/payment', as('alice-token')),
  },
  { limit: 'upload, 50 a day by user', what: 'Upload', curl: post('/account/uploads', as('bob-token')) },
  { limit: 'export, 10 a day by user', what: 'Export', curl: post('/account/exports', as('bob-token')) },
  {
    limit: 'report, 20 a day by user',
    what: 'Report',
    curl: `curl -i ${as('bob-token')}{url}/account/report`,
  },
  {
    limit: 'plan, by tier: free 100, basic 500, pro 2000, enterprise 10000 an hour',
    what: 'The paid API; compare X-RateLimit-Limit of two users',
    curl: `curl -i ${as('carol-token')}{url}/account/api`,
  },
  {
    limit: 'integrations, 5000 an hour by API key',
    what: 'A system of another company',
    curl: `curl -i -H 'X-Api-Key: demo-key' {url}/integrations/orders`,
  },
  {
    limit: 'partner, a rate for each partner (RateResolver, KeyResolver)',
    what: 'Compare demo-key, large-key and no key',
    curl: `curl -i -H 'X-Api-Key: large-key' {url}/integrations/stock`,
  },
  {
    limit: 'feed, 60 an hour by token (query: keys)',
    what: 'A news reader',
    curl: `curl -i '{url}/integrations/feed?token=abc'`,
  },
  {
    limit: 'related, 500 an hour; 100 or 50 while the process is busy (byLoad)',
    what: 'Related products',
    curl: 'curl -i {url}/products/1/related',
  },
  {
    limit: 'trial, 30 a minute, only reported (shadow)',
    what: 'Denies nobody; the log names the clients that it would deny',
    curl: 'for i in $(seq 31); do curl -s {url}/products/1/reviews; done',
  },
  {
    limit: 'expensive, 10 a minute, 100 for all together (presets, cost)',
    what: 'A whole year costs five',
    curl: `curl -i ${as('bob-token')}'{url}/account/summary?of=year'`,
  },
  {
    limit: 'none: the status of a user under every scope (status)',
    what: 'From RateLimiter',
    curl: `curl ${as('bob-token')}{url}/account/limits`,
  },
  {
    limit: 'none: on the deny list, or on the allow list (deny, allow, trustProxy)',
    what: '192.0.2.66 gets a 403, and 192.0.2.10 has no limits',
    curl: `curl -i -H 'X-Forwarded-For: 192.0.2.66' {url}/products`,
  },
  {
    limit: 'none: the health of the store (health)',
    what: 'With Redis: stop it and look again',
    curl: 'curl {url}/health',
  },
  {
    limit: 'everywhere: anonymous 100 an hour, signed in 1000 an hour, 60 a minute, 1000 a day',
    what: 'Any page; RateLimit-Policy names all of its limits',
    curl: `curl -i '{url}/pages?path=/about'`,
  },
  {
    limit: 'none: staff are exempt',
    what: 'No headers',
    curl: `curl -i ${as('sam-token')}'{url}/pages?path=/about'`,
  },
];

const escapeHtml = (text: string): string =>
  text.replace(
    /[&<>"]/g,
    (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char] as string,
  );

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884;vertical-align:top}
pre{margin:.2rem 0;white-space:pre-wrap;word-break:break-all}h2{margin-top:2rem}`;

function page(url: string): string {
  const users = [...USERS].map(
    ([token, { name, tier, isStaff }]) =>
      `<tr><td>${name}</td><td>${isStaff ? 'staff, exempt' : tier}</td><td><code>${token}</code></td></tr>`,
  );
  const examples = EXAMPLES.map(
    ({ limit, what, curl }) =>
      `<tr><td>${escapeHtml(limit)}</td><td>${escapeHtml(what)}<pre><code>${escapeHtml(curl.replaceAll('{url}', url))}</code></pre></td></tr>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A shop with limits</title><style>${STYLE}</style></head><body>
<h1>A shop with limits</h1>
<p>The sample application of nestjs-ratelimit. The headers of each response name the limits that it counted against;
a denied one says in <code>Retry-After</code> when to try again.</p>
<p><a href="/admin/rate-limits">Watch the limits</a>: sign in with <code>sam-token</code>, the token of a member of staff. For some traffic to look at,
replay an access log: <code>npm run replay -- access.log --to ${escapeHtml(url)}</code></p>
<h2>Users</h2><p>Send <code>Authorization: Bearer &lt;token&gt;</code>.</p>
<table><tr><th>Name</th><th>Tier</th><th>Token</th></tr>${users.join('')}</table>
<h2>Limits to try</h2><table><tr><th>Limit</th><th>Try it</th></tr>${examples.join('')}</table>
</body></html>`;
}

@Controller()
export class HomeController {
  constructor(private readonly rateLimits: RateLimitHealthIndicator) {}

  @Get('health')
  @SkipRateLimit()
  health() {
    return this.rateLimits.isHealthy('rate-limits');
  }

  @Get()
  @SkipRateLimit()
  @Header('Content-Type', 'text/html; charset=utf-8')
  home(@Req() request: { readonly headers: { readonly host?: string } }): string {
    return page(`http://${request.headers.host ?? 'localhost'}`);
  }
}
