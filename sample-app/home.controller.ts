import { Controller, Get, Header, Req } from '@nestjs/common';
import { SkipRateLimit } from 'nestjs-ratelimit';
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
    limit: 'login, 5 in 15 minutes by address',
    what: 'The sixth attempt is denied',
    curl: `for i in 1 2 3 4 5 6; do ${post('/auth/login', `-H 'Content-Type: application/json' -d '{"email":"alice@example.org","password":"guess"}' `)}; done`,
  },
  { limit: 'register, 3 an hour', what: 'Sign up', curl: post('/auth/register') },
  { limit: 'password-reset, 3 an hour', what: 'Forgot the password', curl: post('/auth/password-reset') },
  { limit: 'email-verify, 5 an hour', what: 'Confirm an address', curl: post('/auth/email-verify') },
  { limit: 'search, 200 an hour', what: 'Search', curl: `curl -i '{url}/products/search?q=tea'` },
  { limit: 'list, 500 an hour', what: 'All products', curl: 'curl -i {url}/products' },
  { limit: 'retrieve, 1000 an hour', what: 'One product', curl: 'curl -i {url}/products/1' },
  {
    limit: 'stock, a token bucket of 5 that gains one a second',
    what: 'The sixth is denied, and one second later the next passes',
    curl: 'for i in 1 2 3 4 5 6; do curl -i {url}/products/1/stock; done',
  },
  { limit: 'cart, 100 an hour', what: 'The cart', curl: 'curl -i {url}/cart' },
  { limit: 'order-create, 20 an hour by user', what: 'Order', curl: post('/orders', as('alice-token')) },
  { limit: 'payment, 10 an hour by user', what: 'Pay', curl: post('/orders/1/payment', as('alice-token')) },
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
    what: 'Another system',
    curl: `curl -i -H 'X-Api-Key: demo-key' {url}/integrations/orders`,
  },
  {
    limit: 'everywhere: anonymous 100 an hour, signed in 1000 an hour, 60 a minute, 1000 a day',
    what: 'Any page; RateLimit-Policy names all of its limits',
    curl: `curl -i '{url}/pages?path=/about'`,
  },
  {
    limit: 'none: staff is exempt',
    what: 'No headers',
    curl: `curl -i ${as('sam-token')}'{url}/pages?path=/about'`,
  },
];

const inHtml = (text: string): string =>
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
      `<tr><td>${inHtml(limit)}</td><td>${inHtml(what)}<pre><code>${inHtml(curl.replaceAll('{url}', url))}</code></pre></td></tr>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A shop with limits</title><style>${STYLE}</style></head><body>
<h1>A shop with limits</h1>
<p>The sample application of nestjs-ratelimit. Every answer tells the limits that it counted against in its headers;
a denied one says in <code>Retry-After</code> when to come back.</p>
<h2>Users</h2><p>Send <code>Authorization: Bearer &lt;token&gt;</code>.</p>
<table><tr><th>Name</th><th>Tier</th><th>Token</th></tr>${users.join('')}</table>
<h2>Limits to try</h2><table><tr><th>Limit</th><th>Try it</th></tr>${examples.join('')}</table>
</body></html>`;
}

@Controller()
export class HomeController {
  @Get()
  @SkipRateLimit()
  @Header('Content-Type', 'text/html; charset=utf-8')
  home(@Req() request: { readonly headers: { readonly host?: string } }): string {
    return page(`http://${request.headers.host ?? 'localhost'}`);
  }
}
