import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a person stops a command with. */
const SIGNALS = ['SIGINT', 'SIGTERM'];

/** The root of the checkout. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a command in the checkout and ends this process with its status when that is not 0. */
export async function run(command, args, { env = {} } = {}) {
  const child = spawn(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
    shell: process.platform === 'win32',
  });
  const passOn = (signal) => child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, passOn);
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? (SIGNALS.includes(signal) ? 0 : 1)));
  });
  for (const signal of SIGNALS) process.off(signal, passOn);
  if (status !== 0) process.exit(status);
}

/** Runs a tool that is installed in the checkout. */
export const tool = (name, ...args) => run(process.execPath, [`node_modules/${name}`, ...args]);
