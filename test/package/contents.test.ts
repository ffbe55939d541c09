import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { application, nest, packedOnce, run } from '../support/packed.js';

/** In kilobytes. What more is there has to be worth it. */
const BUDGET_KB = { tarball: 400, unpacked: 2_000, withDependencies: 4_500 };

const packed = packedOnce();

let app: string;
beforeAll(async () => {
  app = await application(packed, nest(12));
});

test('the tarball holds what users need and nothing else', () => {
  const other = packed.files.filter(
    (path) => !/^dist\/(esm|cjs)\/([a-z-]+\/)*[a-z-]+(\.gen)?\.(js|d\.ts)$/.test(path),
  );
  expect(other.sort()).toEqual([
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'LICENSE',
    'README.md',
    'SECURITY.md',
    'dist/cjs/package.json',
    'dist/esm/package.json',
    'docs/algorithms.md',
    'docs/custom-stores.md',
    'docs/dependencies.md',
    'docs/errors.md',
    'docs/getting-started.md',
    'docs/grafana-dashboard.json',
    'docs/images/fixed-window.svg',
    'docs/images/sliding-window.svg',
    'docs/images/token-bucket.svg',
    'docs/keys.md',
    'docs/migration.md',
    'docs/monitoring.md',
    'docs/options.md',
    'docs/outages.md',
    'docs/performance.md',
    'docs/programmatic-use.md',
    'docs/rates.md',
    'docs/recipes.md',
    'docs/redis.md',
    'docs/responses.md',
    'docs/scopes-and-tiers.md',
    'docs/security.md',
    'docs/testing.md',
    'package.json',
  ]);
});

test('it stays small, with all that it brings along', async () => {
  const folders = ['nestjs-ratelimit', ...(await dependencies('nestjs-ratelimit'))];
  const sizes = await Promise.all(
    folders.map(async (name) => Number.parseInt(await run(app, 'du', '-sk', `node_modules/${name}`), 10)),
  );
  const kb = {
    tarball: packed.size / 1_000,
    unpacked: packed.unpackedSize / 1_000,
    withDependencies: sizes.reduce((sum, size) => sum + size, 0),
  };
  for (const [what, most] of Object.entries(BUDGET_KB)) {
    expect([what, kb[what as keyof typeof kb] <= most, kb]).toEqual([what, true, kb]);
  }
});

test('to install it runs no script, neither its own nor those of what it brings along', async () => {
  for (const name of ['nestjs-ratelimit', ...(await dependencies('nestjs-ratelimit'))]) {
    const { scripts = {} } = await manifestOf(name);
    expect([name, Object.keys(scripts).filter((script) => /^(pre|post)?install$/.test(script))]).toEqual([
      name,
      [],
    ]);
  }
});

test('it is published for everybody, and says where it was built', async () => {
  const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(manifest.publishConfig).toEqual({ access: 'public', provenance: true });
});

interface Manifest {
  readonly scripts?: Record<string, string>;
  readonly dependencies?: Record<string, string>;
}

const manifestOf = async (name: string): Promise<Manifest> =>
  JSON.parse(await readFile(join(app, 'node_modules', name, 'package.json'), 'utf8'));

/** The runtime dependencies of a package, and theirs. */
async function dependencies(name: string): Promise<string[]> {
  const own = Object.keys((await manifestOf(name)).dependencies ?? {});
  const theirs = await Promise.all(own.map(dependencies));
  return [...new Set([...own, ...theirs.flat()])];
}
