import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { INestApplication } from '@nestjs/common';
import { createShop } from '../../sample-app/app.js';

const MAIN = fileURLToPath(new URL('../../sample-app/dist/main.js', import.meta.url));

/** Runs the built sample until it has said where it listens or has ended. */
function start(
  env: Record<string, string>,
): Promise<{ said: string; code: number | null; stop(): Promise<number | null> }> {
  const child = spawn(process.execPath, [MAIN], { env: { ...process.env, NO_COLOR: '1', ...env } });
  let said = '';
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return new Promise((resolve) => {
    const stop = () => {
      child.kill('SIGTERM');
      return ended;
    };
    const hear = (chunk: Buffer) => {
      said += String(chunk);
      if (said.includes('Stop it with Ctrl+C.')) resolve({ said, code: null, stop });
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void ended.then((code) => resolve({ said, code, stop }));
  });
}

describe('npm start', () => {
  test('PORT sets the port, and the shop stops on SIGTERM', async () => {
    const { said, stop } = await start({ PORT: '0' });
    const [url] = /http:\/\/localhost:\d+\//.exec(said) ?? [];
    expect(url).toBeDefined();
    const page = await (await fetch(url as string)).text();
    for (const token of ['alice-token', 'bob-token', 'carol-token', 'erin-token', 'sam-token'])
      expect(page).toContain(token);
    expect(page).toContain(`curl -i ${url}cart`);
    expect(said).not.toContain('WARN');
    await stop();
  });

  test('a port in use gives a clear message', async () => {
    const server = createServer().listen(0);
    const { port } = server.address() as { port: number };
    const { said, code } = await start({ PORT: String(port) });
    expect([code, said]).toEqual([1, expect.stringContaining(`Port ${port} is in use.`)]);
    server.close();
  });

  test('an invalid PORT gives a clear message', async () => {
    const { said, code } = await start({ PORT: 'http' });
    expect([code, said]).toEqual([1, expect.stringContaining('PORT is "http", which is not a port')]);
  });
});

describe.each(['express', 'fastify'] as const)('the limits of the shop on %s', (platform) => {
  let app: INestApplication;
  let url: string;
  // One for all: a limit that a test uses up is used by no other from the same address.
  beforeAll(async () => {
    app = await createShop({ platform, logger: ['error', 'warn'] });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterAll(() => app.close());

  const ask = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(url + path, { method, headers });
    await response.arrayBuffer();
    return { status: response.status, policy: response.headers.get('ratelimit-policy') };
  };
  const as = (name: string) => ({ authorization: `Bearer ${name}-token` });

  test.each([
    ['POST', '/auth/login', {}, '"login";q=5;w=900'],
    ['POST', '/auth/register', {}, '"register";q=3;w=3600'],
    ['POST', '/auth/password-reset', {}, '"password-reset";q=3;w=3600'],
    ['POST', '/auth/email-verify', {}, '"email-verify";q=5;w=3600'],
    ['POST', '/orders', as('alice'), '"order-create";q=20;w=3600'],
    ['POST', '/orders/1/payment', as('alice'), '"payment";q=10;w=3600'],
    ['GET', '/cart', {}, '"cart";q=100;w=3600'],
    ['GET', '/products/search?q=tea', {}, '"search";q=200;w=3600'],
    ['GET', '/products', {}, '"list";q=500;w=3600'],
    ['GET', '/products/1', {}, '"retrieve";q=1000;w=3600'],
    ['POST', '/account/uploads', as('alice'), '"upload";q=50;w=86400'],
    ['POST', '/account/exports', as('alice'), '"export";q=10;w=86400'],
    ['GET', '/account/report', as('alice'), '"report";q=20;w=86400'],
    ['GET', '/integrations/orders', { 'x-api-key': 'k' }, '"integrations";q=5000;w=3600'],
    ['GET', '/account/api', as('alice'), '"plan";q=100;w=3600'],
    ['GET', '/account/api', as('bob'), '"plan";q=500;w=3600'],
    ['GET', '/account/api', as('carol'), '"plan";q=2000;w=3600'],
    ['GET', '/account/api', as('erin'), '"plan";q=10000;w=3600'],
  ])('%s %s', async (method, path, headers, policy) => {
    expect((await ask(method, path, headers)).policy).toContain(policy);
  });

  test('all other routes: limits on anonymous and signed-in callers, bursts and whole days', async () => {
    expect((await ask('GET', '/pages?path=/about')).policy).toBe(
      '"flood";q=600;w=60, "anon";q=100;w=3600, "burst";q=60;w=60, "sustained";q=1000;w=86400',
    );
  });

  test('staff are exempt, and a wrong token is rejected', async () => {
    for (let i = 0; i < 30; i++)
      expect(await ask('POST', '/orders', as('sam'))).toEqual({ status: 201, policy: null });
    expect((await ask('GET', '/pages?path=/about', as('nobody'))).status).toBe(401);
    expect((await ask('POST', '/orders')).status).toBe(401);
  });

  test('searches are charged to the signed-in user, and empty ones to nobody', async () => {
    const search = async (words: string, from: string) => {
      const headers = { ...as('bob'), 'x-forwarded-for': from };
      const response = await fetch(`${url}/products/search?${words}`, { headers });
      return response.headers.get('ratelimit');
    };
    expect(await search('q=tea', '203.0.113.1')).toContain('"search";r=199');
    expect(await search('q=tea', '203.0.113.2')).toContain('"search";r=198');
    expect(await search('', '203.0.113.1')).not.toContain('search');
    expect(await search('q=tea', '203.0.113.1')).toContain('"search";r=197');
  });

  test('a summary of a year costs the signed-in user five', async () => {
    const summary = async (path: string, name: string) => {
      const response = await fetch(`${url}/account/summary${path}`, { headers: as(name) });
      return response.headers.get('ratelimit');
    };
    expect(await summary('', 'bob')).toContain('"expensive";r=9');
    expect(await summary('?of=year', 'bob')).toContain('"expensive";r=4');
    expect(await summary('', 'alice')).toContain('"expensive";r=9');
  });

  test('guessing a password is denied at the sixth attempt', async () => {
    const guess = async () =>
      (
        await fetch(`${url}/auth/login`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.9' },
          body: JSON.stringify({ email: 'alice@example.org', password: 'guess' }),
        })
      ).status;
    const statuses = [];
    for (let i = 0; i < 7; i++) statuses.push(await guess());
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429]);
  });
});
