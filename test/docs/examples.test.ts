import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, Snippets } from '../support/snippets.js';

/** Names that examples may use without an import. */
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

/** Declarations of the application around an example. */
const SURROUNDINGS: Readonly<Record<string, string>> = {
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

const mentions = (text: string, name: string): boolean => new RegExp(`\\b${name}\\b`).test(text);
const defines = (text: string, name: string): boolean =>
  new RegExp(`\\b(?:class|const|interface|constructor\\() ?${name}\\b`).test(text);

/** Returns an example as a complete file, with the code that it omits. */
function toFile(example: string): string {
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
  for (const [name, declared] of Object.entries(SURROUNDINGS)) {
    if (mentions(text, name) && !defines(text, name)) text = `${declared}\n${text}`;
  }
  for (const [from, names] of Object.entries(IMPORTS)) {
    const used = names.split(' ').filter((name) => mentions(text, name) && !defines(text, name));
    if (used.length > 0) text = `import { ${used.join(', ')} } from '${from}';\n${text}`;
  }
  return `${text}\nexport {};\n`;
}

/** Returns the examples in the docstrings of the library, by file. */
async function examples(): Promise<Map<string, string>> {
  const examples = new Map<string, string>();
  for (const file of await readdir(join(root, 'lib'), { recursive: true })) {
    if (!file.endsWith('.ts') || file.includes('.gen.')) continue;
    const source = await readFile(join(root, 'lib', file), 'utf8');
    for (const [, docstring = ''] of source.matchAll(/\/\*\*((?:[^*]|\*(?!\/))*)\*\//g)) {
      const [, ...parts] = docstring.replace(/^[ \t]*\* ?/gm, '').split(/^@example\n/m);
      for (const part of parts) {
        // Another tag ends it; decorators start with a capital letter.
        const example = part.split(/^@[a-z]/m)[0] ?? '';
        examples.set(`${file.replace(/\W/g, '-')}-${examples.size}`, example.trim());
      }
    }
  }
  return examples;
}

/** A fragment uses little of what it declares, and imports types that decorator metadata turns into values. */
const FRAGMENTS = { noUnusedLocals: false, noUnusedParameters: false, isolatedModules: false };

const snippets = new Snippets('examples', FRAGMENTS);
beforeAll(() => snippets.open());
afterAll(() => snippets.close());

test('every example of a docstring compiles', async () => {
  const all = [...(await examples())].map(([name, example]) => ({ name, code: toFile(example) }));
  expect(all.length).toBeGreaterThanOrEqual(35);
  expect(await snippets.errors(all)).toBe('');
});
