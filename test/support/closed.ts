import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a process prints that serves the sample, closes it and ends by itself, and its exit code. */
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
