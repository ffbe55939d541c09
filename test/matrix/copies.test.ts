import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { application, compile, nest, packedAs, packedOnce, run, versionOf } from '../support/packed.js';

const packed = packedOnce();

const KNOWN = {
  areApart: true,
  mixed: [200, 200, { caught: 'other' }],
  scope: [200, 200, 429],
  skipped: [200, 200, 200, 200, 200, 200, 200, 200],
  load: [200, 200, 429],
  feature: [200, 200, 429],
  twoModules: 'bad-option',
  wrongRate: 'bad-rate',
  own: [true, true, true, true, true],
  isForeign: false,
};

/** Where another copy comes from, as CommonJS. */
const COPIES = [
  ['the other form', 'copies.mjs', `require('nestjs-ratelimit')`, `require('nestjs-ratelimit/redis')`],
  ['another version', 'copies.cjs', `require('other')`, `require('other/redis')`],
  ['another version in the other form', 'copies.mjs', `require('other')`, `require('other/redis')`],
] as const;

describe.each([11, 12])('two copies in one process on Nest %d', (major) => {
  let app: string;
  beforeAll(async () => {
    const other = await packedAs(packed, '0.0.1');
    app = await application(packed, [...nest(major, 'platform-express'), 'ioredis', `other@file:${other}`]);
    expect(await versionOf(app, 'other')).toBe('0.0.1');
    await compile(app, 'copies');
  });

  test.each(COPIES)(
    '%s: a call is charged once, and what one made the other knows',
    async (_what, file, other, itsRedis) => {
      const another = `exports.anotherCopy = ${other};\nexports.itsRedis = ${itsRedis};\n`;
      await writeFile(join(app, 'another.cjs'), another);
      expect(JSON.parse(await run(app, process.execPath, '--no-warnings', file))).toEqual(KNOWN);
    },
  );
});
