// Makes a fresh checkout ready: the right Node, the packages of the lock file, and the programs that a command needs.
// Uses Node alone.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { install, mayInstall } from './apt.mjs';
import { root, run } from './run.mjs';

const LEAST_NODE = [20, 19];

function stop(message) {
  console.error(message);
  process.exit(1);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])) return;
  stop(`nestjs-ratelimit needs Node ${LEAST_NODE.join('.')} or later; this is ${process.version}.`);
}

/** Holds the hash of the lock file that the packages were installed from. */
const stamp = join(root, 'node_modules', '.installed-lock');

const lockHash = () =>
  createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');

const hasPackages = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash();

async function installPackages() {
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stamp, lockHash());
}

const missing = (programs) => programs.filter(({ isInstalled }) => !isInstalled());

const stopFor = (programs) => {
  if (programs.length > 0) stop(programs.map(({ help }) => help).join('\n'));
};

/** Installs what is missing, after saying what that is. Stops before it changes anything if it may not install. */
export async function setUp(...programs) {
  checkNode();
  const absent = missing(programs);
  if (absent.length > 0 && !mayInstall()) stopFor(absent);
  const names = absent.map(({ debianPackage }) => debianPackage);
  const steps = names.map((name) => `${name} (by apt-get)`);
  if (!hasPackages()) steps.push('the packages of package-lock.json (by npm, into node_modules)');
  if (steps.length > 0) console.log(`Installing ${steps.join(' and ')} ...`);
  if (names.length > 0) install(names);
  stopFor(missing(programs));
  if (!hasPackages()) await installPackages();
}
