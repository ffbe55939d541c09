import { get } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import type { Browser } from 'playwright-core';
import { createShop } from '../../sample-app/app.js';
import { replayTo } from '../../sample-app/replay.js';
import { platforms } from '../support/app.js';
import { openBrowser, Screen, type SIZES } from '../support/browser.js';
import { until } from '../support/until.js';

const CLIENT = '203.0.113.7';
const STAFF_TOKEN = 'sam-token';

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser.close());

describe.each(platforms)('the live page of the shop on %s', (platform) => {
  let shop: INestApplication;
  let url: string;
  beforeEach(async () => {
    shop = await createShop({ platform, logger: ['error'] });
    await shop.listen(0, '127.0.0.1');
    url = await shop.getUrl();
  });
  afterEach(async () => {
    // A browser keeps unused connections open, and a server would wait for them.
    for (const context of browser.contexts()) await context.close();
    await shop.close();
  });

  /** Sends a request of a client, as the trusted proxy on this machine would. */
  const ask = (from = CLIENT): Promise<number> =>
    new Promise((resolve, reject) => {
      get(`${url}/pages?path=/`, { agent: false, headers: { 'x-forwarded-for': from } }, (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode ?? 0));
      }).once('error', reject);
    });

  const signedIn = async (size: keyof typeof SIZES, scheme: 'light' | 'dark' = 'light'): Promise<Screen> => {
    const screen = await Screen.open(browser, size, scheme);
    await screen.page.goto(`${url}/admin/rate-limits`);
    await screen.page.fill('#token', STAFF_TOKEN);
    await screen.page.click('#sign-in button');
    await screen.page.waitForSelector('#board:not([hidden])');
    return screen;
  };

  /** Clicks a button and confirms the dialog. */
  const confirmed = async ({ page }: Screen, button: string): Promise<void> => {
    await page.click(`#${button}`);
    await page.click('#confirm-submit');
    await page.waitForSelector('#client-result:not([hidden])');
  };

  test.each(['desktop', 'phone'] as const)(
    'lets staff sign in at %s size, follows requests, and blocks and resets a client',
    async (size) => {
      const screen = await signedIn(size);
      const { page } = screen;
      expect(await screen.text('#live')).toMatch(/Live|Connecting/);
      for (let i = 0; i < 70; i++) await ask(i < 65 ? CLIENT : '203.0.113.8');
      await until('requests are shown', async () => (await screen.text('#hour-requests')) === '70');
      // Of 65 in a minute 60 pass.
      expect(await screen.text('#hour-denied')).toBe('5');
      const denied = await until('the client is listed', async () => {
        const text = await screen.text('#top-addresses');
        return text.includes(CLIENT) && text;
      });
      expect(denied).toMatch(/203\.0\.113\.7\s+5/);
      expect(await screen.text('#top-endpoints')).toMatch(/ALL \/pages\s+5/);

      // Requests of a log are sent to it, and the seconds show them.
      const log = Array.from({ length: 50 }, (_, at) => ({
        address: `198.51.100.${at}`,
        atMs: 0,
        method: 'GET',
        path: '/',
      }));
      const replayed = replayTo(new URL(url), log, 20);
      await until('seconds move', async () => Number(await screen.text('#now-requests')) >= 15);
      expect((await replayed).allowed).toBe(50);

      await page.fill('#identity', '203.0.113.8');
      await page.click('#search button');
      await page.waitForSelector('#client-card:not([hidden])');
      expect(await screen.text('#client-name')).toBe('ip:203.0.113.8');
      expect(await screen.text('#buckets')).toMatch(/burst\s+55 of 60/);

      expect(await ask('203.0.113.8')).toBe(200);
      await page.click('#block');
      await page.click('#confirm-cancel');
      expect(await ask('203.0.113.8')).toBe(200);
      await confirmed(screen, 'block');
      expect(await screen.text('#client-result')).toBe('ip:203.0.113.8 is blocked for 15min.');
      expect(await ask('203.0.113.8')).toBe(429);
      await until('the page says so', async () =>
        (await screen.text('#client-blocked')).startsWith('Blocked.'),
      );
      await confirmed(screen, 'reset');
      expect(await ask('203.0.113.8')).toBe(200);

      await page.fill('#identity', CLIENT);
      await page.keyboard.press('Enter');
      await until('it is shown', async () => (await screen.text('#client-name')) === `ip:${CLIENT}`);
      expect(await ask()).toBe(429);
      await confirmed(screen, 'reset');
      expect(await ask()).toBe(200);

      expect(await screen.violations()).toEqual([]);
      await screen.shoot(`${platform}-${size}-light`);
      await page.emulateMedia({ colorScheme: 'dark' });
      expect(await screen.violations('color-contrast')).toEqual([]);
      await screen.shoot(`${platform}-${size}-dark`);
      // Nothing is wider than the screen.
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      expect(screen.console).toEqual([]);
    },
  );

  test('rejects other tokens, and shows why', async () => {
    const screen = await Screen.open(browser, 'desktop', 'light');
    const { page } = screen;
    await page.goto(`${url}/admin/rate-limits`);
    await page.waitForSelector('#sign-in:not([hidden])');
    expect(screen.console).toEqual([]);
    expect(await screen.violations()).toEqual([]);
    for (const token of ['guess', 'alice-token']) {
      await page.fill('#token', token);
      await page.keyboard.press('Enter');
      await until('it is rejected', async () =>
        (await screen.text('#sign-in-error')).includes('was rejected'),
      );
      expect(await page.isVisible('#board')).toBe(false);
    }
    await screen.shoot(`${platform}-sign-in`);
  });

  test('deletes the token on sign-out, and is idle while paused', async () => {
    const screen = await signedIn('desktop');
    const { page } = screen;
    await page.click('#pause');
    await ask();
    await until('it is paused', async () => (await screen.text('#live')) === 'Paused');
    await page.click('#sign-out');
    await page.waitForSelector('#sign-in:not([hidden])');
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
  });

  test('can be used by keyboard only', async () => {
    const screen = await signedIn('desktop');
    const { page } = screen;
    await ask();
    await page.focus('#identity');
    await page.keyboard.type(CLIENT);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#client-card:not([hidden])');
    expect(await page.evaluate('document.activeElement.id')).toBe('client-name');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.id')).toBe('block');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#confirm[open]');
    expect(await screen.violations()).toEqual([]);
    await screen.shoot(`${platform}-dialog`);
    await page.keyboard.press('Escape');
    expect(await page.isVisible('#confirm')).toBe(false);
    expect(await ask()).toBe(200);
  });

  test('every route is listed with its limits', async () => {
    const screen = await signedIn('desktop');
    const routes = await until('routes are listed', async () => {
      const text = await screen.text('#routes');
      return text.includes('/auth/login') && text;
    });
    expect(routes).toMatch(/POST\s+\/auth\/login/);
    expect(routes).toContain('5/15min');
  });
});
