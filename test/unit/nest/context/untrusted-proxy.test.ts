import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { addressNormalizer } from '../../../../lib/identity/addresses.js';
import { ProxyDetector } from '../../../../lib/nest/context/untrusted-proxy.js';

test('an untrusted proxy is reported once with its normalized address', () => {
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  const detector = new ProxyDetector(addressNormalizer(64));
  const peer = '::ffff:10.0.0.1';
  detector.inspect('203.0.113.7', peer, peer);
  expect(detector.isLooking).toBe(false);
  expect(warn.mock.calls).toEqual([[expect.stringContaining('so 10.0.0.1 was charged')]]);
  warn.mockRestore();
});
