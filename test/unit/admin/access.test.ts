import 'reflect-metadata';
import { AdminAccess } from '../../../lib/admin/access.js';

test('nobody is let in before the guards are known', async () => {
  const access = new AdminAccess({ allowUnguarded: true }, new Map(), {} as never);
  expect(await access.allows({} as never)).toBe(false);
  await access.onModuleInit();
  expect(await access.allows({} as never)).toBe(true);
});
