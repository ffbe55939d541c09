import { writeFile } from 'node:fs/promises';
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

const cells: readonly (readonly [11 | 12, Form, boolean])[] = [
  [12, 'module', true],
  [12, 'module', false],
  [12, 'commonjs', true],
  [12, 'commonjs', false],
  [11, 'module', true],
  [11, 'module', false],
  [11, 'commonjs', true],
  [11, 'commonjs', false],
];

describe.each(cells)('types on Nest %d, type %s, optional packages: %s', (major, form, hasPeers) => {
  let app: string;
  beforeAll(async () => {
    const [redis, telemetry, ...nestPeers] = PEERS as [string, string, ...string[]];
    const peers = hasPeers ? [redis, telemetry, ...nestPeers.map((name) => `@nestjs/${name}@${major}`)] : [];
    const compilers = COMPILERS.map((version) => `typescript-${version}@npm:typescript@${version}`);
    app = await application(packed, [...nest(major), ...peers, ...compilers, '@types/node@20'], {
      type: form,
    });
    const found = await Promise.all(OPTIONAL.map((name) => versionOf(app, name)));
    expect(found.map((version) => version !== undefined)).toEqual(OPTIONAL.map(() => hasPeers));
    await writeFile(join(app, 'app.ts'), await fixture('types/app.ts'));
    if (hasPeers) await writeFile(join(app, 'peers.ts'), await fixture('types/peers.ts'));
  });

  const resolutions = RESOLUTIONS[`${major} ${form}`];
  test.each(resolutions)('compile under each TypeScript, resolved as %s', async (resolution) => {
    await writeFile(join(app, 'tsconfig.json'), JSON.stringify(optionsFor(resolution)));
    const complaints: string[] = [];
    for (const version of compilersFor(resolution)) {
      await run(app, process.execPath, `node_modules/typescript-${version}/bin/tsc`, '-p', '.').catch(
        (error: Error) => complaints.push(`TypeScript ${version}: ${error.message}`),
      );
    }
    expect(complaints.join('\n')).toBe('');
  });
});
