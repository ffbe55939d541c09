// Finds a Redis server and its command line for the tests, and installs Debian's where that is possible.
import { install, onPath } from './apt.mjs';

/** Valkey answers as Redis does. */
const hasRedis = () =>
  ['redis', 'valkey'].some(
    (name) => onPath(`${name}-server`) !== undefined && onPath(`${name}-cli`) !== undefined,
  );

export function setUpRedis() {
  if (hasRedis()) return;
  install('redis-server');
  if (hasRedis()) return;
  console.error(
    'The tests need redis-server and redis-cli. Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis; others: https://redis.io/docs.',
  );
  process.exit(1);
}
