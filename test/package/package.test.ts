import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transform } from '@swc/core';
import { startRedis } from '../support/redis.js';

const exec = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a program and gives back what it printed; its complaint is part of the error when it fails. */
async function run(folder: string, file: string, ...args: string[]): Promise<string> {
  try {
    return (await exec(file, args, { cwd: folder, maxBuffer: 1 << 24 })).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${file} ${args.join(' ')} failed:\n${stdout}\n${stderr}`);
  }
}

/** Compiles a program to ES modules and to CommonJS, and gives back the names of the files. */
async function compile(app: string, source: string, name: string): Promise<readonly string[]> {
  const files: string[] = [];
  for (const [type, extension] of [
    ['es6', 'mjs'],
    ['commonjs', 'cjs'],
  ] as const) {
    const { code } = await transform(source, {
      jsc: {
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
        target: 'es2022',
      },
      module: type === 'commonjs' ? { type, ignoreDynamic: true } : { type },
    });
    const file = `${name}.${extension}`;
    await writeFile(join(app, file), code);
    files.push(file);
  }
  return files;
}

let folder: string;
let tarball: string;
let packed: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nestjs-ratelimit-'));
  const [{ filename, files }] = JSON.parse(
    await run(root, 'npm', 'pack', '--json', '--pack-destination', folder),
  ) as [{ filename: string; files: { path: string }[] }];
  tarball = join(folder, filename);
  packed = files.map(({ path }) => path);
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }), 120_000);

test('the tarball holds what users need and nothing else', () => {
  const other = packed.filter(
    (path) => !/^dist\/(esm|cjs)\/([a-z-]+\/)*[a-z-]+(\.gen)?\.(js|d\.ts)$/.test(path),
  );
  expect(other.sort()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'dist/cjs/package.json',
    'dist/esm/package.json',
    'docs/dependencies.md',
    'docs/errors.md',
    'docs/failure.md',
    'docs/grafana-dashboard.json',
    'docs/guide.md',
    'docs/performance.md',
    'docs/watching.md',
    'package.json',
  ]);
});

describe.each([11, 12])('on Nest %d', (nest) => {
  let app: string;

  beforeAll(async () => {
    app = join(folder, `nest-${nest}`);
    await mkdir(app);
    await writeFile(join(app, 'package.json'), '{ "private": true }');
    const packages = ['common', 'core', 'platform-express', 'platform-fastify'].map(
      (name) => `@nestjs/${name}@${nest}`,
    );
    await run(
      app,
      'npm',
      'install',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      tarball,
      ...packages,
      'reflect-metadata',
      'rxjs@7',
    );
    const source = await readFile(new URL('./fixture/app.ts', import.meta.url), 'utf8');
    await compile(app, source, 'app');
  }, 240_000);

  test.each([
    ['ES modules', 'app.mjs', 'express'],
    ['ES modules', 'app.mjs', 'fastify'],
    ['CommonJS', 'app.cjs', 'express'],
    ['CommonJS', 'app.cjs', 'fastify'],
  ])(
    'as %s (%s) on %s',
    async (_form, file, platform) => {
      const said = JSON.parse(await run(app, process.execPath, '--no-warnings', file, platform));
      expect(said).toMatchObject({
        statuses: [200, 200, 429, 200, 200, 200, 429, 200],
        guarded: [200, 200, 429, 200, 403],
        counted: [200, 200, 200, 403, 403, 429],
        left: { remaining: 1 },
        admin: [403, 20],
        mistake: 'bad-rate',
        exception: 'function',
        denied: {
          status: 429,
          headers: {
            'retry-after': '900',
            'x-ratelimit-limit': '2',
            'x-ratelimit-remaining': '0',
            'ratelimit-policy': '"burst";q=60;w=60, "login";q=2;w=900',
            ratelimit: '"burst";r=58;t=60, "login";r=0;t=900',
          },
          body: {
            error: 'rate_limit_exceeded',
            details: { throttle_type: 'login', retry_after_seconds: 900 },
          },
        },
      });
      expect(said.contract).toBeGreaterThan(40);
    },
    60_000,
  );

  test('a gateway is limited, in both forms', async () => {
    const packages = [`@nestjs/websockets@${nest}`, `@nestjs/platform-socket.io@${nest}`, 'socket.io-client'];
    await run(app, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', ...packages);
    const source = await readFile(new URL('./fixture/gateway.ts', import.meta.url), 'utf8');
    for (const file of await compile(app, source, 'gateway')) {
      const events = JSON.parse(await run(app, process.execPath, '--no-warnings', file));
      expect(events).toEqual(['said', 'said', 'exception']);
    }
  }, 120_000);

  test('the Redis store, in both forms, on the ioredis of its day', async () => {
    const redis = await startRedis();
    const ioredis = nest === 11 ? 'ioredis@5' : 'ioredis@6';
    await run(app, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', ioredis);
    const source = await readFile(new URL('./fixture/redis.ts', import.meta.url), 'utf8');
    for (const file of await compile(app, source, 'redis')) {
      const said = await run(app, process.execPath, '--no-warnings', file, redis.url);
      expect(JSON.parse(said)).toEqual({ contract: expect.any(Number), statuses: [200, 200, 429] });
    }
    await redis.stop();
  }, 120_000);

  test('its two forms in one process know each other: exceptions, metadata and calls', async () => {
    await writeFile(
      join(app, 'both.mjs'),
      `import { createRequire } from 'node:module';
       import * as esm from 'nestjs-ratelimit';
       const cjs = createRequire(import.meta.url)('nestjs-ratelimit');
       const { allowed: _, ...denied } = await new esm.RateLimiter({ scopes: { none: '0/s' } }).consume({ scope: 'none', identity: 'a' });
       const exception = new esm.RateLimitException({ allowed: false, ...denied });
       class Own extends esm.RateLimitException {}
       console.log(JSON.stringify([
         esm.RateLimitException !== cjs.RateLimitException,
         exception instanceof cjs.RateLimitException,
         exception instanceof cjs.RateLimitUnavailableException,
         exception instanceof Own,
         new Error('other') instanceof cjs.RateLimitException,
       ]));`,
    );
    expect(JSON.parse(await run(app, process.execPath, '--no-warnings', 'both.mjs'))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
