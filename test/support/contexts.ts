import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { addressNormalizer } from '../../lib/identity/addresses.js';
import { RateLimitContext, type TransportReader } from '../../lib/nest/context/call-context.js';
import { TRANSPORTS, type TransportName } from '../../lib/nest/context/transports.js';
import { ProxyDetector } from '../../lib/nest/context/untrusted-proxy.js';

type UserFunction = TransportReader['userOf'];

/** The context of a call whose handler has these arguments. */
export const contextOf = (
  transport: TransportName,
  args: unknown[],
  userOf: UserFunction = undefined,
): RateLimitContext => {
  const execution = new ExecutionContextHost(args);
  execution.setType(transport);
  return new RateLimitContext(execution, {
    transport: TRANSPORTS[transport],
    normalizeAddress: addressNormalizer(64),
    resolveAddress: null,
    proxyDetector: new ProxyDetector(addressNormalizer(64)),
    userOf,
  });
};

export const httpContext = (request: object, userOf?: UserFunction, response: object = {}) =>
  contextOf('http', [request, response], userOf);
