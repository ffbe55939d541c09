import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type RedisServer, startRedis } from '../support/redis.js';

const MAIN = fileURLToPath(new URL('../../sample-app/dist/main.js', import.meta.url));

const running: ChildProcess[] = [];

/** A process of the built sample on Redis, and where it listens. */
async function openShop(redis: RedisServer, platform: string): Promise<string> {
  const shop = spawn(process.execPath, [MAIN], {
    env: { ...process.env, PORT: '0', PLATFORM: platform, REDIS_URL: redis.url, NO_COLOR: '1' },
  });
  running.push(shop);
  return new Promise((resolve, reject) => {
    let said = '';
    shop.stdout.on('data', (chunk) => {
      said += String(chunk);
      const [, url] = /open at (http:\/\/localhost:\d+)\/ \(\w+, store in Redis\)/.exec(said) ?? [];
      if (url !== undefined) resolve(url);
    });
    shop.once('exit', (code) => reject(new Error(`The shop ended with ${code}: ${said}`)));
  });
}

let redis: RedisServer;
let shops: readonly string[];

describe('two processes of the shop on one Redis', () => {
  beforeAll(async () => {
    redis = await startRedis();
    shops = await Promise.all([openShop(redis, 'express'), openShop(redis, 'fastify')]);
  });
  afterAll(() => {
    for (const shop of running) shop.kill();
  });

  const post = async (at: number, path: string): Promise<number> =>
    (await fetch(`${shops[at % shops.length]}${path}`, { method: 'POST' })).status;

  test('the sixth guess of a password is denied, whichever process it reaches', async () => {
    const seen: number[] = [];
    for (let at = 0; at < 7; at++) seen.push(await post(at, '/auth/login'));
    expect(seen).toEqual([401, 401, 401, 401, 401, 429, 429]);
  });

  test('A24 exactly 3 of 50 parallel requests at 3/hour pass', async () => {
    const seen = await Promise.all(Array.from({ length: 50 }, (_, at) => post(at, '/auth/register')));
    expect(seen.filter((status) => status === 201)).toHaveLength(3);
    expect(seen.filter((status) => status === 429)).toHaveLength(47);
  });

  test('A37 without Redis payments fail, pages are served, and logins stay limited', async () => {
    const health = async (at: number) =>
      ((await (await fetch(`${shops[at]}/health`)).json()) as Record<string, { store: string }>)[
        'rate-limits'
      ];
    expect(await health(0)).toMatchObject({ status: 'up', store: 'up' });
    await redis.kill();
    for (const at of [0, 1]) {
      const payment = await fetch(`${shops[at]}/orders/1/payment`, {
        method: 'POST',
        headers: { authorization: 'Bearer alice-token' },
      });
      expect([payment.status, payment.headers.get('retry-after')]).toEqual([503, '1']);
      for (let i = 0; i < 5; i++) expect((await fetch(`${shops[at]}/products`)).status).toBe(200);
      // Five guesses have been counted by both together.
      const guesses: number[] = [];
      for (let i = 0; i < 7; i++) guesses.push(await post(at, '/auth/login'));
      expect(guesses.at(-1)).toBe(429);
      expect(await health(at)).toMatchObject({ status: 'up', store: 'degraded' });
    }
  });
});
