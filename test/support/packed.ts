// The library as users get it: packed, and installed into small applications outside of the repository.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transform } from '@swc/core';

const exec = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a program and gives back what it printed; its complaint is part of the error when it fails. */
export async function run(folder: string, file: string, ...args: string[]): Promise<string> {
  try {
    return (await exec(file, args, { cwd: folder, maxBuffer: 1 << 24 })).stdout;
  } catch (error) {
    const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string };
    throw new Error(`${file} ${args.join(' ')} failed: ${message}\n${stdout}\n${stderr}`);
  }
}

export interface Packed {
  readonly folder: string;
  readonly tarball: string;
  readonly files: readonly string[];
  /** In bytes: of the tarball, and of what is in it. */
  readonly size: number;
  readonly unpackedSize: number;
}

let count = 0;

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** The packed library, for all tests of a file: there before the first of them. */
export function packedOnce(): Packed {
  const packed = {} as Packed;
  beforeAll(async () => Object.assign(packed, await pack()));
  return packed;
}

/** Packs the library as it was built, into a folder that goes when the tests of the file have run. */
async function pack(): Promise<Packed> {
  const folder = await mkdtemp(join(tmpdir(), 'nestjs-ratelimit-'));
  folders.push(folder);
  const [{ filename, files, size, unpackedSize }] = JSON.parse(
    await run(root, 'npm', 'pack', '--json', '--pack-destination', folder),
  ) as [{ filename: string; files: { path: string }[]; size: number; unpackedSize: number }];
  return {
    folder,
    tarball: join(folder, filename),
    files: files.map(({ path }) => path),
    size,
    unpackedSize,
  };
}

/** The same library as another version of it. */
export async function packedAs({ folder, tarball }: Packed, version: string): Promise<string> {
  const unpacked = await mkdtemp(join(folder, 'version-'));
  await run(unpacked, 'tar', '-xzf', tarball);
  const manifest = join(unpacked, 'package', 'package.json');
  await writeFile(manifest, JSON.stringify({ ...JSON.parse(await readFile(manifest, 'utf8')), version }));
  const said = await run(unpacked, 'npm', 'pack', '--json', join(unpacked, 'package'));
  const [{ filename }] = JSON.parse(said) as [{ filename: string }];
  return join(unpacked, filename);
}

/** The version of what is installed in an application; undefined where it is not. */
export const versionOf = (app: string, name: string): Promise<string | undefined> =>
  readFile(join(app, 'node_modules', name, 'package.json'), 'utf8').then(
    (text) => JSON.parse(text).version,
    () => undefined,
  );

export const nest = (major: number, ...names: string[]): string[] =>
  ['common', 'core', ...names].map((name) => `@nestjs/${name}@${major}`);

export const install = (app: string, ...packages: string[]): Promise<string> =>
  run(app, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', ...packages);

/** An application of its own, with the tarball and other packages installed: gives its folder. */
export async function application(
  { folder, tarball }: Packed,
  packages: readonly string[],
  manifest: object = {},
): Promise<string> {
  const app = join(folder, `app-${count++}`);
  await mkdir(app);
  await writeFile(join(app, 'package.json'), JSON.stringify({ private: true, ...manifest }));
  await install(app, tarball, 'reflect-metadata', 'rxjs@7', ...packages);
  return app;
}

export const fixture = (name: string): Promise<string> =>
  readFile(new URL(`../matrix/fixture/${name}`, import.meta.url), 'utf8');

/** Compiles a fixture to ES modules and to CommonJS, and gives back the names of the files. */
export async function compile(app: string, name: string): Promise<readonly string[]> {
  const source = await fixture(`${name}.ts`);
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
