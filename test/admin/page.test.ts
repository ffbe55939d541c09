import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseEvents } from '../../lib/admin/page/event-stream.js';
import { addUpInSteps, hourPoints, LIVE_SECONDS, Seconds } from '../../lib/admin/page/points.js';
import { PAGE, PAGE_CSP } from '../../lib/admin/page.gen.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const sources = join(root, 'lib', 'admin', 'page');

const contentsOf = (tag: string): string[] =>
  [...PAGE.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, 'gs'))].map(([, text]) => text as string);

const [script = ''] = contentsOf('script');
const [style = ''] = contentsOf('style');
const markup = PAGE.replace(script, '').replace(style, '');

const directives = new Map(
  PAGE_CSP.split('; ').map((directive) => {
    const [name = '', ...values] = directive.split(' ');
    return [name, values.join(' ')];
  }),
);

describe('the document', () => {
  test('is generated from its sources', async () => {
    await promisify(execFile)(process.execPath, [join(root, 'scripts', 'embed-page.mjs'), '--check']);
  });

  test('has one script and one style, and the policy allows only these', () => {
    const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    expect(PAGE.match(/<script/g)).toHaveLength(1);
    expect(PAGE.match(/<style/g)).toHaveLength(1);
    expect(Object.fromEntries(directives)).toEqual({
      'default-src': `'none'`,
      'script-src': hash(script),
      'style-src': hash(style),
      'connect-src': `'self'`,
      'img-src': 'data:',
      'base-uri': `'none'`,
      'form-action': `'none'`,
      'frame-ancestors': `'none'`,
      'require-trusted-types-for': `'script'`,
      'trusted-types': `'none'`,
    });
  });

  test('has nothing that the policy would block', () => {
    expect(markup).not.toMatch(/\s(style|on[a-z]+)=/i);
    expect(script).not.toMatch(
      /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function)\b\(?/,
    );
  });

  test('sends no request to other hosts', () => {
    const addresses = [...markup.matchAll(/\s(?:href|src|action|srcset)="([^"]*)"/g)].map(([, to]) => to);
    expect(addresses.filter((to) => !/^(#|data:)/.test(to as string))).toEqual([]);
    expect(style).not.toMatch(/url\(|@import/);
    // The namespace of the icon is not an address.
    expect(PAGE.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/(https?|wss?):\/\//);
  });

  test('keeps the token no longer than the tab is open', () => {
    expect(script).not.toMatch(/localStorage|document\.cookie|indexedDB/);
  });

  test('contains the notice of the chart library', () => {
    const notice = readFileSync(join(root, 'node_modules', 'uplot', 'LICENSE'), 'utf8').trim();
    expect(PAGE).toContain(notice);
  });

  test('has every element that its script looks up, once', () => {
    const used = readdirSync(sources)
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => [
        ...readFileSync(join(sources, file), 'utf8').matchAll(/byId(?:<\w+>)?\('([\w-]+)'\)/g),
      ])
      .map(([, id]) => id as string);
    const ids = [...markup.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id as string);
    expect(used.length).toBeGreaterThan(20);
    expect(used.filter((id) => !ids.includes(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('is small', () => {
    expect(Buffer.byteLength(PAGE)).toBeLessThan(100_000);
  });
});

describe('the stream', () => {
  test('returns complete messages, and keeps an incomplete one', () => {
    expect(parseEvents('data: {"a":1}\n\ndata: {"b"')).toEqual({ data: ['{"a":1}'], rest: 'data: {"b"' });
    expect(parseEvents('data: {"b":2}\r\n\r\n')).toEqual({ data: ['{"b":2}'], rest: '' });
  });

  test('joins the lines of a message, and omits comments, names and messages without data', () => {
    const { data } = parseEvents(': still here\n\nid: 7\nevent: message\ndata: 1\ndata: 2\n\nretry: 5\n\n');
    expect(data).toEqual(['1\n2']);
  });
});

describe('what the chart draws', () => {
  const second = (at: number, total: number) => ({
    at: new Date(at * 1_000 + 400).toISOString(),
    total,
    allowed: total - 1,
    denied: 1,
    shadow_denied: 0,
    degraded: 0,
    store: 'up' as const,
  });

  test('five minutes up to the latest second, with a gap for missing ones', () => {
    const seconds = new Seconds();
    expect(seconds.points()).toEqual([]);
    seconds.add(second(1_000, 9));
    seconds.add(second(1_100, 5));
    seconds.add(second(1_102, 7));
    const points = seconds.points();
    expect(points).toHaveLength(LIVE_SECONDS);
    expect(points.slice(-3)).toEqual([
      { at: 1_100, requests: 5, denied: 1, shadow: 0 },
      { at: 1_101, requests: null, denied: null, shadow: null },
      { at: 1_102, requests: 7, denied: 1, shadow: 0 },
    ]);
    seconds.add(second(1_000 + LIVE_SECONDS, 3));
    expect(seconds.points().filter(({ requests }) => requests !== null)).toHaveLength(3);
  });

  test('hours up to the latest that was counted, in whatever order they arrive', () => {
    const hour = (at: string, total: number) => ({
      hour: at,
      total_requests: total,
      throttled_requests: 2,
      shadow_throttled: 1,
    });
    const points = hourPoints([hour('2026-01-01T05:00:00Z', 50), hour('2026-01-01T03:00:00Z', 30)], 4);
    expect(points.map(({ requests }) => requests)).toEqual([null, 30, null, 50]);
  });

  test('points added up, where all are unknown unknown', () => {
    const at = (start: number, requests: number | null) => ({
      at: start,
      requests,
      denied: requests,
      shadow: requests,
    });
    expect(addUpInSteps([at(1, 2), at(2, null), at(3, null), at(4, null), at(5, 6)], 2)).toEqual([
      at(1, 2),
      at(3, null),
      at(5, 6),
    ]);
  });
});
