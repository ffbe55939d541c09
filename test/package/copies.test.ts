import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { application, compile, nest, type Packed, pack, run } from '../support/packed.js';

let packed: Packed;
beforeAll(async () => {
  packed = await pack();
}, 120_000);

const KNOWN = {
  areApart: true,
  mixed: [200, 200, { caught: 'other' }],
  scope: [200, 200, 429],
  skipped: [200, 200, 200, 200, 200, 200, 200, 200],
  load: [200, 200, 429],
  feature: [200, 200, 429],
  twoModules: 'bad-option',
  wrongRate: 'bad-rate',
  isOwn: true,
  isForeign: false,
};

/** Where another copy comes from, as CommonJS. */
const COPIES = [
  ['the other form', 'copies.mjs', `require('nestjs-ratelimit')`],
  ['another installation', 'copies.cjs', `require('other')`],
] as const;

describe.each([11, 12])('two copies in one process on Nest %d', (major) => {
  let app: string;
  beforeAll(async () => {
    app = await application(packed, [...nest(major, 'platform-express'), `other@file:${packed.tarball}`]);
    await compile(app, 'copies');
  }, 240_000);

  test.each(COPIES)(
    '%s: a call is charged once, and what one made the other knows',
    async (_what, file, other) => {
      await writeFile(join(app, 'another.cjs'), `exports.anotherCopy = ${other};`);
      expect(JSON.parse(await run(app, process.execPath, '--no-warnings', file))).toEqual(KNOWN);
    },
    60_000,
  );
});
