// The Redis server and its command line, which the tests start for themselves.
import { onPath } from './apt.mjs';

export const redis = {
  debianPackage: 'redis-server',
  help: 'The tests need redis-server and redis-cli. Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis; others: https://redis.io/docs.',
  /** Valkey replies as Redis does. */
  isInstalled: () =>
    ['redis', 'valkey'].some(
      (name) => onPath(`${name}-server`) !== undefined && onPath(`${name}-cli`) !== undefined,
    ),
};
