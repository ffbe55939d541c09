// Installs packages of Debian, where that is possible.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where a program is; undefined where there is none. */
export const onPath = (program) =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((file) => existsSync(file));

/** Runlevel 1 keeps Debian from starting servers of its own. */
const ENV = ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];

const succeeds = (command, args, stderr = 'inherit') =>
  spawnSync(command, args, { stdio: ['ignore', 'ignore', stderr] }).status === 0;

const isRoot = () => process.getuid?.() === 0;

/** Returns true if this user may install packages: as root, or through sudo without a password. */
export const mayInstall = () =>
  onPath('apt-get') !== undefined && (isRoot() || succeeds('sudo', ['-n', 'true'], 'ignore'));

function aptGet(...args) {
  const command = ['env', ...ENV, 'apt-get', '--quiet', '--quiet', ...args];
  return isRoot() ? succeeds(command[0], command.slice(1)) : succeeds('sudo', ['-n', ...command]);
}

export function install(names) {
  const get = () => aptGet('install', '-y', '--no-install-recommends', ...names);
  // A fresh machine has no package lists yet, and old lists name packages that are gone.
  if (!get() && aptGet('update')) get();
}
