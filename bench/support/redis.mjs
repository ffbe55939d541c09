// A Redis server of its own that keeps nothing on disk, and ends with this process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Redis } from 'ioredis';

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Starts a server; `cluster` makes it a Cluster of its own. */
export async function startRedis({ cluster = false } = {}) {
  const port = await freePort();
  const settings = { port, save: '', appendonly: 'no', dir: await mkdtemp(join(tmpdir(), 'bench-')) };
  if (cluster) Object.assign(settings, { 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' });
  const words = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn('redis-server', words, { stdio: 'ignore' });
  process.once('exit', () => {
    child.kill('SIGKILL');
    rmSync(settings.dir, { recursive: true, force: true });
  });
  const client = new Redis(port);
  client.on('error', () => undefined);
  await client.ping();
  if (cluster) await client.cluster('ADDSLOTSRANGE', 0, 16_383);
  while (cluster && !(await client.cluster('INFO')).includes('cluster_state:ok')) await setTimeout(50);
  const field = async (section, name) =>
    Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(await client.info(section))[1]);
  return {
    port,
    client,
    /** Seconds of the processor that it has used. */
    processorTime: async () => (await field('cpu', 'used_cpu_user')) + (await field('cpu', 'used_cpu_sys')),
    /** Seconds that commands within scripts took, those that were sent to it for a decision not among them. */
    async commandTime() {
      const stats = await client.info('commandstats');
      const within = /^cmdstat_(?:h\w+|p?expire\w*|pttl|time):calls=\d+,usec=(\d+)/gm;
      return [...stats.matchAll(within)].reduce((sum, [, usec]) => sum + Number(usec), 0) / 1e6;
    },
    /** Scripts that it was asked to run: what it calls within them was not sent to it. */
    scripts: async () =>
      Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(await client.info('commandstats'))?.[1] ?? 0),
    /** Bytes that it was sent, and has sent. */
    bytes: async () =>
      (await field('stats', 'total_net_input_bytes')) + (await field('stats', 'total_net_output_bytes')),
    async stop() {
      client.disconnect();
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
