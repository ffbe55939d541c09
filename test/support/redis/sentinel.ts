import { until } from '../until.js';
import { type RedisServer, startRedis } from './server.js';

/** A master and its replicas, and the sentinels that watch them. */
export class SentinelSet {
  constructor(
    /** The name of the master. */
    readonly name: string,
    readonly servers: readonly RedisServer[],
    readonly sentinels: readonly RedisServer[],
  ) {}

  /** The master on which all sentinels that answer agree, once they do. */
  master(): Promise<RedisServer> {
    return until('the sentinels agree on a master', () => this.#agreed());
  }

  /** The master that has taken the place of another, once it has. */
  masterAfter(former: RedisServer): Promise<RedisServer> {
    return until('another master is elected', async () => {
      const master = await this.#agreed();
      return master !== former && (await master?.info('role')) === 'master' && master;
    });
  }

  /** Waits until all sentinels reach every replica: none that they do not reach is elected. */
  async ready(): Promise<void> {
    const reached = `\nflags\nslave\n`;
    await until('the sentinels reach the replicas', async () => {
      for (const sentinel of this.sentinels) {
        const replicas = await sentinel.cli('SENTINEL', 'REPLICAS', this.name);
        if (replicas.split(reached).length !== this.servers.length) return false;
      }
      return true;
    });
  }

  /** Kills the master and gives the one that is elected then. */
  async failover(): Promise<RedisServer> {
    const former = await this.master();
    await former.kill();
    return this.masterAfter(former);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.kill()));
  }

  async #agreed(): Promise<RedisServer | undefined> {
    const answers = await Promise.all(
      this.sentinels
        .filter(({ answering }) => answering)
        .map((sentinel) => sentinel.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name)),
    );
    const ports = new Set(answers.map((answer) => Number(answer.split('\n')[1])));
    return ports.size === 1 ? this.servers.find(({ port }) => ports.has(port)) : undefined;
  }
}

export interface SentinelOptions {
  readonly replicas?: number;
  readonly sentinels?: number;
}

async function startReplicated(replicas: number): Promise<RedisServer[]> {
  const master = await startRedis();
  const config = [`replicaof ${master.host} ${master.port}`];
  const others = await Promise.all(Array.from({ length: replicas }, () => startRedis({ config })));
  // Sentinels look for replicas at once and then only every ten seconds.
  await until('the replicas follow', async () => {
    const info = await master.cli('INFO', 'replication');
    return info.split('state=online').length - 1 === replicas;
  });
  return [master, ...others];
}

/** Starts a set that is killed when the test file ends. */
export async function startSentinelSet({
  replicas = 1,
  sentinels: count = 3,
}: SentinelOptions = {}): Promise<SentinelSet> {
  const name = 'main';
  const servers = await startReplicated(replicas);
  const config = [
    `sentinel monitor ${name} 127.0.0.1 ${servers[0]?.port} ${Math.floor(count / 2) + 1}`,
    `sentinel down-after-milliseconds ${name} 500`,
    `sentinel failover-timeout ${name} 2000`,
  ];
  const sentinels = await Promise.all(
    Array.from({ length: count }, () => startRedis({ sentinel: true, config })),
  );
  await until('the sentinels know all', async () => {
    const known = await Promise.all(sentinels.map((sentinel) => sentinel.cli('SENTINEL', 'MASTER', name)));
    return known.every(
      (fields) =>
        fields.includes(`num-slaves\n${replicas}\n`) &&
        fields.includes(`num-other-sentinels\n${count - 1}\n`),
    );
  });
  return new SentinelSet(name, servers, sentinels);
}
