import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { OwnTime } from '../../support/own-time.mjs';
import { until } from '../../support/until.js';

test('counts CPU time, also while the event loop is blocked', () => {
  const time = new OwnTime();
  const before = process.cpuUsage();
  while (process.cpuUsage(before).user + process.cpuUsage(before).system < 200_000);
  expect(time.stop()).toBeGreaterThan(190);
});

test('counts at most the elapsed time', async () => {
  const start = performance.now();
  const time = new OwnTime();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const countedMs = time.stop();
  expect(countedMs).toBeGreaterThan(0);
  expect(countedMs).toBeLessThanOrEqual(performance.now() - start);
});

test('does not advance while the process is stopped', async () => {
  const module = fileURLToPath(new URL('../../support/own-time.mjs', import.meta.url));
  const script = `
    import { OwnTime } from ${JSON.stringify(module)};
    const [time, start] = [new OwnTime(), performance.now()];
    process.kill(process.pid, 'SIGSTOP');
    console.log(JSON.stringify([time.stop(), performance.now() - start]));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  const ended = once(child, 'exit');
  const start = performance.now();
  await until('it ends', async () => {
    // It is stopped as soon as it has started, and goes on when it has been so for a while.
    if (performance.now() - start > 1_500) child.kill('SIGCONT');
    return child.exitCode !== null;
  });
  await ended;
  const [countedMs, passedMs] = JSON.parse(said) as [number, number];
  expect(countedMs).toBeLessThan(passedMs / 2);
});
