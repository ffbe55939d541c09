// The Redis server that the tests start for themselves.
import { onPath } from './apt.mjs';

export const redis = {
  debianPackage: 'redis-server',
  help: 'The tests need redis-server. Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis; others: https://redis.io/docs.',
  /** Valkey replies as Redis does. */
  isInstalled: () => onPath('redis-server') !== undefined || onPath('valkey-server') !== undefined,
};
