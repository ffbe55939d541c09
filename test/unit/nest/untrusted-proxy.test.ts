import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { addressForm } from '../../../lib/key/address.js';
import { UntrustedProxy } from '../../../lib/nest/untrusted-proxy.js';

test('an untrusted proxy is named as it is charged, and then looked for no more', () => {
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  const untrusted = new UntrustedProxy(addressForm(64));
  const peer = '::ffff:10.0.0.1';
  untrusted.note('203.0.113.7', peer, peer);
  expect(untrusted.isLooking).toBe(false);
  expect(warn.mock.calls).toEqual([[expect.stringContaining('so 10.0.0.1 was charged')]]);
  warn.mockRestore();
});
