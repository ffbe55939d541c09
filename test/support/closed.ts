import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Returns the output and exit code of a process that serves the sample, closes it and exits by itself. */
export async function closed(...args: readonly string[]): Promise<{ said: string; code: number | null }> {
  const script = fileURLToPath(new URL('./close.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { said, code };
}
