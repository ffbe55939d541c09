// Finds a Redis server and its command line for the tests, and installs Debian's where that is possible.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const onPath = (program) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));

/** Valkey answers as Redis does. */
const hasRedis = () => ['redis', 'valkey'].some((name) => onPath(`${name}-server`) && onPath(`${name}-cli`));

/** Runlevel 1 keeps Debian from starting a server of its own. */
const ENV = ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];

const succeeds = (command, args, stderr = 'inherit') =>
  spawnSync(command, args, { stdio: ['ignore', 'ignore', stderr] }).status === 0;

/** Runs apt-get as root, or through sudo where that asks for no password. */
function aptGet(...args) {
  const command = ['env', ...ENV, 'apt-get', '--quiet', '--quiet', ...args];
  return process.getuid?.() === 0
    ? succeeds(command[0], command.slice(1))
    : succeeds('sudo', ['-n', ...command]);
}

function install() {
  const mayInstall = process.getuid?.() === 0 || succeeds('sudo', ['-n', 'true'], 'ignore');
  if (!onPath('apt-get') || !mayInstall) return;
  console.log('Installing redis-server ...');
  const get = () => aptGet('install', '-y', '--no-install-recommends', 'redis-server');
  // A fresh machine has no package lists yet, and old lists name packages that are gone.
  if (!get() && aptGet('update')) get();
}

export function setUpRedis() {
  if (hasRedis()) return;
  install();
  if (hasRedis()) return;
  console.error(
    'The tests need redis-server and redis-cli. Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis; others: https://redis.io/docs.',
  );
  process.exit(1);
}
