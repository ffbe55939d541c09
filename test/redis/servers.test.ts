import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import {
  type RedisCluster,
  type RedisServer,
  type SentinelSet,
  startCluster,
  startRedis,
  startSentinelSet,
} from '../support/redis.js';
import { until } from '../support/until.js';

const listens = ({ host, port }: RedisServer): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

const lives = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** Whether a process takes no turn until it is resumed. */
const isStopped = (pid: number): boolean =>
  existsSync('/proc/self/status')
    ? /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    : execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('T');

describe('one server', () => {
  test('starts, answers and leaves nothing when it is stopped', async () => {
    const server = await startRedis();
    expect(await server.cli('PING')).toBe('PONG');
    expect([await listens(server), lives(server.pid)]).toEqual([true, true]);
    await server.stop();
    expect([await listens(server), lives(server.pid)]).toEqual([false, false]);
  });

  test('keeps what was appended through a kill, on the same port', async () => {
    const server = await startRedis({ appendOnly: true });
    await server.cli('SET', 'kept', 'yes');
    const { pid } = server;
    await server.kill();
    expect([await listens(server), lives(pid)]).toEqual([false, false]);
    await server.restart();
    expect(await server.cli('GET', 'kept')).toBe('yes');
    expect(server.pid).not.toBe(pid);
  });

  test('keeps nothing otherwise', async () => {
    const server = await startRedis();
    await server.cli('SET', 'lost', 'yes');
    await server.restart();
    expect(await server.cli('GET', 'lost')).toBe('');
  });

  test('answers nothing while it is paused', async () => {
    const server = await startRedis();
    const other = await startRedis();
    server.pause();
    await until('paused', async () => isStopped(server.pid));
    let answered = false;
    const answer = server.cli('PING').then((text) => {
      answered = true;
      return text;
    });
    // One that was asked later has answered.
    expect(await other.cli('PING')).toBe('PONG');
    expect(answered).toBe(false);
    server.resume();
    expect(await answer).toBe('PONG');
  });

  test('says what is wrong with a command, a configuration or a port', async () => {
    const server = await startRedis({ config: ['maxmemory 5mb'] });
    expect(await server.info('maxmemory')).toBe('5242880');
    await expect(server.cli('NONSENSE')).rejects.toThrow('unknown command');
    await expect(startRedis({ config: ['nonsense yes'] })).rejects.toThrow('Bad directive');
    await expect(startRedis({ port: server.port })).rejects.toThrow('in use');
  });
});

describe('a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startCluster();
  });

  test('is whole: three masters with a replica each', async () => {
    const masters = await cluster.masters();
    const replicas = await Promise.all(masters.map((master) => cluster.replicasOf(master)));
    expect(replicas.map(({ length }) => length)).toEqual([1, 1, 1]);
    for (const node of cluster.nodes) expect(await node.info('cluster_state', 'CLUSTER', 'INFO')).toBe('ok');
  });

  test('moves a slot with its keys, and asks elsewhere for those that have moved', async () => {
    const keys = ['{a}:1', '{a}:2'];
    const from = await cluster.ownerOf('{a}');
    const to = (await cluster.masters()).find((master) => master !== from) as RedisServer;
    for (const key of keys) await from.cli('SET', key, key);
    const asked: number[] = [];
    await cluster.migrateSlot(await cluster.slotOf('{a}'), from, to, async () => {
      const answers = await Promise.all(keys.map((key) => from.cli('GET', key).catch(String)));
      asked.push(answers.filter((answer) => answer.includes('ASK')).length);
    });
    expect(asked).toEqual([0, 1, 2]);
    expect(await cluster.ownerOf('{a}')).toBe(to);
    for (const key of keys) expect(await to.cli('GET', key)).toBe(key);
    await expect(from.cli('GET', '{a}:1')).rejects.toThrow('MOVED');
  });

  test('goes on with a replica when a master is killed', async () => {
    const master = await cluster.ownerOf('b');
    const replicas = await cluster.replicasOf(master);
    const next = await cluster.failover(master);
    expect(replicas).toContain(next);
    expect(await next.cli('SET', 'b', '1')).toBe('OK');
    await master.restart();
    await cluster.ok();
    expect(await cluster.replicasOf(next)).toEqual([master]);
  });

  test('stops', async () => {
    await cluster.stop();
    expect(cluster.nodes.filter(({ pid }) => lives(pid))).toEqual([]);
  });
});

describe('a set with sentinels', () => {
  let set: SentinelSet;
  beforeAll(async () => {
    set = await startSentinelSet();
  });

  test('elects another master when the master is killed', async () => {
    const former = await set.master();
    const master = await set.failover();
    expect(master).not.toBe(former);
    expect(await master.cli('SET', 'key', '1')).toBe('OK');
  });

  test('stops', async () => {
    await set.stop();
    expect([...set.servers, ...set.sentinels].filter(({ pid }) => lives(pid))).toEqual([]);
  });
});
