import { execFile, spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, extname, join } from 'node:path';
import { promisify } from 'node:util';
import { transform } from '@swc/core';
import { OPTION_NAMES } from '../../lib/nest/startup/check-options.js';
import { LIMIT_OPTION_NAMES } from '../../lib/plan/limit.js';
import { root, type Snippet, Snippets } from '../support/snippets.js';

const exec = promisify(execFile);
const snippets = new Snippets('pages');

/** Returns the code blocks of one language in a page. */
const blocks = (page: string, language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, code]) => code ?? '',
  );

async function pages(): Promise<Map<string, string>> {
  const names = [
    'README.md',
    ...(await readdir(join(root, 'docs')))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  const pages = new Map<string, string>();
  for (const name of names) pages.set(name, await readFile(join(root, name), 'utf8'));
  return pages;
}

const readme = () => readFile(join(root, 'README.md'), 'utf8');

/** Runs a snippet as a program and returns its output. */
async function run(name: string, code: string): Promise<string> {
  const { code: compiled } = await transform(code, {
    jsc: {
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
      target: 'es2022',
    },
    module: { type: 'es6' },
  });
  const file = join(snippets.folder, `${name}.mjs`);
  await writeFile(file, compiled);
  return (await exec(process.execPath, ['--no-warnings', file], { cwd: root })).stdout;
}

/** Replaces @nestjs/config, which is not installed: the types that blocks use. */
const nestConfig: Snippet = {
  name: 'nest-config.d',
  code: `declare module '@nestjs/config' {
    class ConfigModule { static forRoot(): import('@nestjs/common').DynamicModule }
    class ConfigService { get<T>(name: string, otherwise: T): T }
  }`,
};

beforeAll(() => snippets.open());
afterAll(() => snippets.close());

test('every TypeScript block of every page compiles', async () => {
  const examples: Snippet[] = [];
  for (const [page, text] of await pages()) {
    for (const [index, code] of blocks(text, 'ts').entries()) {
      examples.push({ name: `${page.replace(/\W/g, '-')}-${index}`, code });
    }
  }
  expect(examples.length).toBeGreaterThanOrEqual(35);
  // Files that blocks import from an application.
  const guard = `import { AuthGuard } from '../../../support/app.js';\nexport class JwtGuard extends AuthGuard {}\n`;
  await writeFile(join(snippets.folder, 'jwt.guard.ts'), guard);
  await writeFile(join(snippets.folder, 'app.module.ts'), blocks(await readme(), 'ts')[0] ?? '');
  expect(examples.filter(({ code }) => code.includes('declare module')).length).toBeGreaterThanOrEqual(1);
  expect(await snippets.errors(examples, [nestConfig])).toBe('');
});

test('the smallest example does what it says', async () => {
  const [example] = blocks(await readme(), 'ts');
  const program = `${example}
    import 'reflect-metadata';
    import { NestFactory } from '@nestjs/core';
    const app = await NestFactory.create(AppModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    const statuses = [];
    for (let i = 0; i < 6; i++) statuses.push((await fetch(await app.getUrl() + '/login', { method: 'POST' })).status);
    for (let i = 0; i < 21; i++) statuses.push((await fetch(await app.getUrl() + '/search')).status);
    console.log(JSON.stringify(statuses));
    await app.close();`;
  const times = (count: number, status: number) => Array.from({ length: count }, () => status);
  expect(JSON.parse(await run('smallest', program))).toEqual([...times(5, 201), 429, ...times(20, 200), 429]);
});

test('the example of a test prints what its comments say', async () => {
  const page = await readFile(join(root, 'docs/testing.md'), 'utf8');
  const example = blocks(page, 'ts').find((code) => code.includes('console.log')) ?? '';
  const expected = [...example.matchAll(/console\.log.*\/\/ (\w+)$/gm)].map(([, word]) => word);
  expect(expected).toEqual(['true', 'false', 'true', 'true']);
  expect((await run('testing', example)).trim().split('\n')).toEqual(expected);
});

test('the example of a custom store passes the contract', async () => {
  const [example] = blocks(await readFile(join(root, 'docs/custom-stores.md'), 'utf8'), 'ts');
  const program = `${example}
    import { storeContract } from 'nestjs-ratelimit/testing';
    const failures = [];
    const contract = storeContract({ create: (clock) => new MapStore({ clock }) });
    for (const { name, run } of contract) await run().catch((error) => failures.push([name, error.message]));
    console.log(JSON.stringify({ checks: contract.length, failures }));`;
  const { checks, failures } = JSON.parse(await run('custom-store', program));
  expect(failures).toEqual([]);
  expect(checks).toBeGreaterThan(40);
});

/** Returns the raw response to the sixth login at the built sample application. */
async function sixthLogin(): Promise<string> {
  const shop = spawn(process.execPath, ['sample-app/dist/main.js'], {
    cwd: root,
    env: { ...process.env, PORT: '0', NO_COLOR: '1' },
  });
  try {
    const port = await new Promise<number>((resolve) => {
      let output = '';
      shop.stdout.on('data', (chunk) => {
        output += String(chunk);
        const [, port] = /http:\/\/localhost:(\d+)\/ /.exec(output) ?? [];
        if (port !== undefined) resolve(Number(port));
      });
    });
    let response = '';
    for (let i = 0; i < 6; i++) {
      response = await new Promise<string>((resolve) => {
        const socket = connect(port, 'localhost', () =>
          socket.end(
            'POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
          ),
        );
        let text = '';
        socket.on('data', (chunk) => {
          text += String(chunk);
        });
        socket.once('end', () => resolve(text));
      });
    }
    return response;
  } finally {
    shop.kill();
  }
}

test('the 429 of the README is the one on the wire', async () => {
  const [documented] = blocks(await readme(), 'http');
  const sent = await sixthLogin();
  const [head = '', body = ''] = sent.split('\r\n\r\n');
  const platform = /^(X-Powered-By|Content-Length|ETag|Date|Connection|Keep-Alive):/;
  const lines = [...head.split('\r\n').filter((line) => !platform.test(line)), '', body, ''];
  // Only timestamps differ.
  const undated = (text: string) =>
    text.replace(/(X-RateLimit-Reset: |"retry_after_timestamp":)\d{10}/g, '$1...');
  expect(undated(lines.join('\n'))).toBe(undated(documented ?? ''));
});

/** Returns the names in the first column of the table with this heading. */
function column(page: string, heading: string): string[] {
  const rows = page.split('\n');
  const from = rows.findIndex((row) => row.startsWith(`| ${heading} |`)) + 2;
  const to = rows.findIndex((row, index) => index > from && !row.startsWith('|'));
  return rows
    .slice(from, to)
    .flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name ?? ''));
}

test('the tables of docs/options.md name every option, and no other', async () => {
  const page = await readFile(join(root, 'docs/options.md'), 'utf8');
  expect(column(page, 'option of a limit').sort()).toEqual([...LIMIT_OPTION_NAMES].sort());
  expect(column(page, 'option of the module').sort()).toEqual([...OPTION_NAMES, 'registerGuard'].sort());
});

test('docs/errors.md documents every code, and no other', async () => {
  const source = await readFile(join(root, 'lib/core/errors.ts'), 'utf8');
  const [, union = ''] = /export type ProblemCode =([\s\S]*?);/.exec(source) ?? [];
  const codes = [...union.matchAll(/'([a-z-]+)'/g)].map(([, code]) => code);
  const documented = [
    ...(await readFile(join(root, 'docs/errors.md'), 'utf8')).matchAll(/^## ([a-z-]+)$/gm),
  ].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(10);
  expect(documented.sort()).toEqual(codes.sort());
});

test('docs/errors.md quotes real errors', async () => {
  const quoted = blocks(await readFile(join(root, 'docs/errors.md'), 'utf8'), 'text').filter((text) =>
    text.startsWith('['),
  );
  const program = `
    import 'reflect-metadata';
    import { Controller, Get, Module, UseGuards } from '@nestjs/common';
    import { NestFactory } from '@nestjs/core';
    import { RateLimit, RateLimitModule, rate } from 'nestjs-ratelimit';
    class JwtGuard { canActivate() { return true; } }
    @Controller()
    class Shop {
      @Get() @UseGuards(JwtGuard) @RateLimit({ name: 'search', rate: '5/min', key: () => 'tenant:1' }) search() {}
    }
    @Module({ imports: [RateLimitModule.forRoot()], controllers: [Shop] })
    class AppModule {}
    const errors = [];
    try { rate('5/minut', 'LOGIN_RATE'); } catch (error) { errors.push(error.message); }
    const app = await NestFactory.create(AppModule, { logger: false, abortOnError: false });
    await app.init().catch((error) => errors.push(error.message));
    console.log(JSON.stringify(errors));`;
  expect(quoted.map((text) => text.trim())).toEqual(JSON.parse(await run('errors', program)));
});

/** Returns the anchors of the headings of a page. */
const anchorsIn = (page: string): readonly string[] =>
  [...page.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

test('links between pages have targets', async () => {
  const all = await pages();
  for (const name of ['CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']) {
    all.set(name, await readFile(join(root, name), 'utf8'));
  }
  const broken: string[] = [];
  for (const [page, text] of all) {
    for (const [, target = '', anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)) {
      const file = target === '' ? page : join(page, '..', target);
      const linked = all.get(file) ?? (await readFile(join(root, file), 'utf8').catch(() => undefined));
      if (linked === undefined || (anchor !== undefined && !anchorsIn(linked).includes(anchor))) {
        broken.push(`${page}: ${target}#${anchor ?? ''}`);
      }
    }
  }
  expect(broken).toEqual([]);
});

test('links between files of the package lead to files of the package', async () => {
  const { files } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    readonly files: readonly string[];
  };
  const packed = new Set(['README.md', 'LICENSE', ...files]);
  const isPacked = (file: string): boolean =>
    packed.has(file) || packed.has(`${dirname(file)}/*${extname(file)}`) || packed.has(dirname(file));
  const linking = new Map(await pages());
  for (const name of files.filter((file) => /^\w+\.md$/.test(file)))
    linking.set(name, await readFile(join(root, name), 'utf8'));
  const missing: string[] = [];
  for (const [page, text] of linking) {
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]+)?\)/g)) {
      if (!isPacked(join(page, '..', target))) missing.push(`${page}: ${target}`);
    }
  }
  expect(missing).toEqual([]);
});

test('the README lists every page', async () => {
  const page = await readme();
  const unlisted = [...(await pages()).keys()].filter(
    (name) => name !== 'README.md' && !page.includes(`](${name})`),
  );
  expect(unlisted).toEqual([]);
});

test('docs/dependencies.md gives a reason for each runtime dependency and peer', async () => {
  const page = await readFile(join(root, 'docs/dependencies.md'), 'utf8');
  const { dependencies, peerDependencies } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  ) as Record<string, object>;
  for (const name of [...Object.keys(dependencies ?? {}), ...Object.keys(peerDependencies ?? {})])
    expect(page).toContain(name);
});

test('test/README.md lists every folder of tests, and where each numbered behaviour is tested', async () => {
  const page = await readFile(join(root, 'test/README.md'), 'utf8');
  const folders = (await readdir(join(root, 'test'), { withFileTypes: true })).filter((entry) =>
    entry.isDirectory(),
  );
  const listed = [...page.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, name]) => name);
  // Browser tests write screenshots.
  expect([...listed, 'screenshots'].sort()).toEqual(
    [...new Set([...folders.map(({ name }) => name), 'screenshots'])].sort(),
  );

  const tested = new Map<string, Set<string>>();
  for (const file of await readdir(join(root, 'test'), { recursive: true })) {
    if (!file.endsWith('.test.ts')) continue;
    for (const [, numbers = ''] of (await readFile(join(root, 'test', file), 'utf8')).matchAll(
      /['"`]((?:A\d+[ab]? )+)/g,
    )) {
      for (const number of numbers.trim().split(' ')) {
        tested.set(number, (tested.get(number) ?? new Set()).add(`\`${file.replace('.test.ts', '')}\``));
      }
    }
  }
  const indexed = [...page.matchAll(/^\| (A\d+[ab]?) \|.*\| ([^|]*) \|$/gm)];
  expect(Object.fromEntries(indexed.map(([, number, files]) => [number, files]))).toEqual(
    Object.fromEntries([...tested].map(([number, files]) => [number, [...files].sort().join(', ')])),
  );
});
