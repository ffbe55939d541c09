import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { application, fixture, nest, packedOnce, run, versionOf } from '../support/packed.js';

const packed = packedOnce();

const COMPILERS = ['5.9', '6', '7'] as const;
type Resolution = 'node10' | 'node16' | 'node20' | 'nodenext' | 'bundler';
type Form = 'module' | 'commonjs';

const SETTINGS: Readonly<Record<Resolution, { readonly module: string; readonly moduleResolution: string }>> =
  {
    node10: { module: 'commonjs', moduleResolution: 'node10' },
    node16: { module: 'node16', moduleResolution: 'node16' },
    node20: { module: 'node20', moduleResolution: 'node16' },
    nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
    bundler: { module: 'preserve', moduleResolution: 'bundler' },
  };

/** TypeScript 6 discourages `node10`, and 7 has it no more. */
const compilersFor = (resolution: Resolution) =>
  resolution === 'node10' ? COMPILERS.slice(0, 1) : COMPILERS;

/** Nest 12 is ES modules alone: to `node16` CommonJS cannot require them. Older projects on Nest 11 have `node10`. */
const RESOLUTIONS: Readonly<Record<`${11 | 12} ${Form}`, readonly Resolution[]>> = {
  '11 commonjs': ['nodenext', 'node10', 'node16', 'bundler'],
  '11 module': ['nodenext', 'node16', 'bundler'],
  '12 commonjs': ['nodenext', 'node20', 'bundler'],
  '12 module': ['nodenext', 'node16', 'bundler'],
};

const PEERS = ['ioredis@6', '@opentelemetry/api', 'microservices', 'websockets'];

const OPTIONAL = ['ioredis', '@opentelemetry/api', '@nestjs/microservices', '@nestjs/websockets'];

const optionsFor = (resolution: Resolution) => ({
  compilerOptions: {
    strict: true,
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    noEmit: true,
    target: 'es2022',
    lib: ['es2023', 'dom'],
    types: ['node'],
    ...SETTINGS[resolution],
  },
  include: ['*.ts'],
});

const FORMS = ['module', 'commonjs'] as const;

describe.each([
  [12, true],
  [12, false],
  [11, true],
  [11, false],
] as const)('types on Nest %d, optional packages: %s', (major, hasPeers) => {
  let app: string;
  beforeAll(async () => {
    const [redis, telemetry, ...nestPeers] = PEERS as [string, string, ...string[]];
    const peers = hasPeers ? [redis, telemetry, ...nestPeers.map((name) => `@nestjs/${name}@${major}`)] : [];
    const compilers = COMPILERS.map((version) => `typescript-${version}@npm:typescript@${version}`);
    app = await application(packed, [...nest(major), ...peers, ...compilers, '@types/node@20']);
    const found = await Promise.all(OPTIONAL.map((name) => versionOf(app, name)));
    expect(found.map((version) => version !== undefined)).toEqual(OPTIONAL.map(() => hasPeers));
    await writeFile(join(app, 'app.ts'), await fixture('types/app.ts'));
    if (hasPeers) await writeFile(join(app, 'peers.ts'), await fixture('types/peers.ts'));
  });

  describe.each(FORMS)('type %s', (form) => {
    beforeAll(async () => {
      const manifest = join(app, 'package.json');
      const given = JSON.parse(await readFile(manifest, 'utf8'));
      await writeFile(manifest, JSON.stringify({ ...given, type: form }));
    });

    test.each(RESOLUTIONS[`${major} ${form}`])(
      'compile under each TypeScript, resolved as %s',
      async (resolution) => {
        await writeFile(join(app, 'tsconfig.json'), JSON.stringify(optionsFor(resolution)));
        const complaints = await Promise.all(
          compilersFor(resolution).map((version) =>
            run(app, process.execPath, `node_modules/typescript-${version}/bin/tsc`, '-p', '.').then(
              () => '',
              (error: Error) => `TypeScript ${version}: ${error.message}`,
            ),
          ),
        );
        expect(complaints.join('')).toBe('');
      },
    );
  });
});
