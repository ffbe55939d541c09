import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, Snippets } from '../support/snippets.js';

/** What examples may use without saying where it comes from. */
const IMPORTS: Readonly<Record<string, string>> = {
  'nestjs-ratelimit':
    'byLoad Clock Duration KeyResolver KeyText LimitInfo LimitOptions MemoryStore OnRateLimit parseDuration presets RATE_LIMIT_STORE rate RateLimit RateLimitConfigError RateLimitContext RateLimiter RateLimitEvents RateLimitException RateLimitGuard RateLimitHealthIndicator RateLimitModule RateLimitStats RequestEvent SkipRateLimit Store ThrottleScope',
  'nestjs-ratelimit/admin': 'RateLimitAdminModule',
  'nestjs-ratelimit/redis': 'RedisStore',
  'nestjs-ratelimit/testing': 'storeContract TestClock',
  '@nestjs/common': 'ArgumentsHost CanActivate Catch Get Injectable Module Post',
  '@nestjs/core': 'BaseExceptionFilter',
  '@nestjs/terminus': 'HealthCheck HealthCheckService',
  '@nestjs/testing': 'Test',
  ioredis: 'Cluster',
  '../../../../lib/core/policy.js': 'definePolicy',
};

/** What stands for the application around an example. */
const AROUND: Readonly<Record<string, string>> = {
  AdminGuard: 'declare class AdminGuard implements CanActivate { canActivate(): boolean }',
  TokenGuard:
    'declare class TokenGuard implements CanActivate { constructor(token: string); canActivate(): boolean }',
  ConfigService: 'declare class ConfigService { getOrThrow(name: string): string }',
  TenantService: 'declare class TenantService { idOf(host: string | undefined): Promise<string> }',
  AppModule: 'declare class AppModule {}',
  AppUser: 'interface AppUser { readonly id: string }',
  Uploads: 'declare class Uploads {}',
  MyStore: 'declare const MyStore: new (options: { clock: Clock }) => Store;',
  clock: 'declare const clock: TestClock;',
  events: 'declare const events: RateLimitEvents;',
  limiter: 'declare const limiter: RateLimiter<string>;',
  nodes: 'declare const nodes: [];',
  signal: 'declare const signal: AbortSignal;',
  stats: 'declare const stats: RateLimitStats;',
};

const speaksOf = (text: string, name: string): boolean => new RegExp(`\\b${name}\\b`).test(text);
const defines = (text: string, name: string): boolean =>
  new RegExp(`\\b(?:class|const|interface|constructor\\() ?${name}\\b`).test(text);

/** An example as a file of its own: what it leaves out is put around it. */
function fileOf(example: string): string {
  let text = `export async function example() {\n${example}\n}`;
  if (/^(?:class|@(?:Module|Injectable|Catch)\b)/.test(example)) text = example;
  else if (example.startsWith('declare module')) text = `import 'nestjs-ratelimit';\n${example}`;
  else if (example.startsWith('{')) text = `export const limit: LimitOptions<RateLimitContext> = ${example};`;
  else if (example.startsWith("'")) {
    text = example.replace(/^('[^']+').*$/gm, 'keys.push($1);');
    text = `export const keys: KeyText[] = [];\n${text}`;
  } else if (example.startsWith('@')) {
    const member = example.endsWith(')') ? `${example}\nmember() {}` : example;
    const fields =
      'constructor(readonly health: HealthCheckService, readonly rateLimits: RateLimitHealthIndicator) {}';
    text = `export class Shop {\n${member.includes('this.') ? fields : ''}\n${member}\n}`;
  }
  for (const [name, declared] of Object.entries(AROUND)) {
    if (speaksOf(text, name) && !defines(text, name)) text = `${declared}\n${text}`;
  }
  for (const [from, names] of Object.entries(IMPORTS)) {
    const used = names.split(' ').filter((name) => speaksOf(text, name) && !defines(text, name));
    if (used.length > 0) text = `import { ${used.join(', ')} } from '${from}';\n${text}`;
  }
  return `${text}\nexport {};\n`;
}

/** The examples in the docstrings of the library, by where they stand. */
async function examples(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const file of await readdir(join(root, 'lib'), { recursive: true })) {
    if (!file.endsWith('.ts') || file.includes('.gen.')) continue;
    const source = await readFile(join(root, 'lib', file), 'utf8');
    for (const [, docstring = ''] of source.matchAll(/\/\*\*((?:[^*]|\*(?!\/))*)\*\//g)) {
      const [, ...parts] = docstring.replace(/^[ \t]*\* ?/gm, '').split(/^@example\n/m);
      for (const part of parts) {
        // Another tag ends it; a decorator has a capital letter.
        const example = part.split(/^@[a-z]/m)[0] ?? '';
        found.set(`${file.replace(/\W/g, '-')}-${found.size}`, example.trim());
      }
    }
  }
  return found;
}

/** A fragment uses little of what it declares, and imports types that decorators write down as values. */
const FRAGMENTS = { noUnusedLocals: false, noUnusedParameters: false, isolatedModules: false };

const snippets = new Snippets('examples', FRAGMENTS);
beforeAll(() => snippets.open());
afterAll(() => snippets.close());

test('every example of a docstring compiles', async () => {
  const all = [...(await examples())].map(([name, example]) => ({ name, code: fileOf(example) }));
  expect(all.length).toBeGreaterThanOrEqual(35);
  expect(await snippets.complaints(all)).toBe('');
});
