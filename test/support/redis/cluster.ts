import { until } from '../until.js';
import { type RedisServer, startRedis } from './server.js';

/** The description that a node gives of itself. */
interface Self {
  readonly node: RedisServer;
  readonly id: string;
  readonly isMaster: boolean;
  readonly masterId: string;
  readonly slots: readonly (readonly [first: number, last: number])[];
}

async function selfOf(node: RedisServer): Promise<Self> {
  const lines = (await node.cli('CLUSTER', 'NODES')).split('\n').map((line) => line.split(' '));
  const mine = lines.find(([, , flags]) => flags?.includes('myself')) ?? [];
  const [id = '', , flags = '', masterId = '', , , , , ...ranges] = mine;
  return {
    node,
    id,
    isMaster: flags.includes('master'),
    masterId,
    // Slots on the move follow in brackets.
    slots: ranges
      .filter((range) => !range.startsWith('['))
      .map((range) => {
        const [first, last = first] = range.split('-');
        return [Number(first), Number(last)];
      }),
  };
}

export class RedisCluster {
  constructor(readonly nodes: readonly RedisServer[]) {}

  /** The masters that have slots, leaving out nodes that are down or paused. */
  async masters(): Promise<RedisServer[]> {
    return (await this.#masters()).map(({ node }) => node);
  }

  async replicasOf(master: RedisServer): Promise<RedisServer[]> {
    const { id } = await selfOf(master);
    return (await this.#selves()).filter(({ masterId }) => masterId === id).map(({ node }) => node);
  }

  async slotOf(key: string): Promise<number> {
    return Number(await this.#any().cli('CLUSTER', 'KEYSLOT', key));
  }

  async ownerOf(key: string): Promise<RedisServer> {
    const slot = await this.slotOf(key);
    const owner = (await this.#masters()).find(({ slots }) =>
      slots.some(([first, last]) => first <= slot && slot <= last),
    );
    if (owner === undefined) throw new Error(`No master has the slot of ${key}`);
    return owner.node;
  }

  /** Moves a slot key by key; `between` runs when the slot is open and nothing has moved, and after each key. */
  async migrateSlot(
    slot: number,
    from: RedisServer,
    to: RedisServer,
    between: () => unknown = () => {},
  ): Promise<void> {
    const [source, target] = [await from.cli('CLUSTER', 'MYID'), await to.cli('CLUSTER', 'MYID')];
    await to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source);
    await from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target);
    await between();
    for (;;) {
      const key = await from.cli('CLUSTER', 'GETKEYSINSLOT', slot, 1);
      if (key === '') break;
      await from.cli('MIGRATE', to.host, to.port, key, 0, 5_000);
      await between();
    }
    const others = (await this.masters()).filter((node) => node !== from && node !== to);
    for (const node of [to, from, ...others]) await node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', target);
  }

  /** Kills a master and gives the replica that has taken its slots. */
  async failover(master: RedisServer): Promise<RedisServer> {
    const replicas = await this.replicasOf(master);
    await master.kill();
    const next = await this.successorAmong(replicas);
    await this.ok();
    return next;
  }

  /** The one of some replicas that has taken over, once it has. */
  successorAmong(replicas: readonly RedisServer[]): Promise<RedisServer> {
    return until('a replica takes over', async () => (await new RedisCluster(replicas).masters())[0]);
  }

  /** Waits until every node that answers sees a whole cluster, and replicas follow their masters. */
  async ok(): Promise<void> {
    const nodes = this.nodes.filter(({ answering }) => answering);
    await until('the cluster is ok', async () => {
      // One after the other, since this is asked often, and for long by one alone.
      for (const node of nodes) if (!(await this.#isOk(node))) return false;
      return true;
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
  }

  async #isOk(node: RedisServer): Promise<boolean> {
    const cluster = await node.cli('CLUSTER', 'INFO');
    const isWhole =
      cluster.includes('cluster_state:ok') && cluster.includes(`cluster_known_nodes:${this.nodes.length}\r`);
    if (!isWhole) return false;
    const replication = await node.cli('INFO', 'replication');
    return replication.includes('role:master') || replication.includes('master_link_status:up');
  }

  #any(): RedisServer {
    const node = this.nodes.find(({ answering }) => answering);
    if (node === undefined) throw new Error('No node of the cluster answers');
    return node;
  }

  #selves(): Promise<Self[]> {
    return Promise.all(this.nodes.filter(({ answering }) => answering).map(selfOf));
  }

  async #masters(): Promise<Self[]> {
    return (await this.#selves()).filter(({ isMaster, slots }) => isMaster && slots.length > 0);
  }
}

export interface ClusterOptions {
  readonly masters?: number;
  readonly replicasPerMaster?: number;
  /** Further lines of every redis.conf. */
  readonly config?: readonly string[];
}

const SLOTS = 16_384;

/** The slots of one of so many masters. */
function slotsOf(at: number, masters: number): readonly number[] {
  const [first, end] = [at, at + 1].map((edge) => Math.round((edge * SLOTS) / masters)) as [number, number];
  return Array.from({ length: end - first }, (_, i) => first + i);
}

/**
 * Starts a cluster that is killed when the test file ends. It takes the two seconds that a master waits before it
 * writes; `redis-cli --cluster create` sleeps for longer.
 */
export async function startCluster({
  masters = 3,
  replicasPerMaster = 1,
  config = [],
}: ClusterOptions = {}): Promise<RedisCluster> {
  const lines = ['cluster-enabled yes', 'cluster-node-timeout 1000', 'cluster-replica-validity-factor 0'];
  const nodes = await Promise.all(
    Array.from({ length: masters * (1 + replicasPerMaster) }, () =>
      startRedis({ config: [...lines, ...config] }),
    ),
  );
  const ids = await Promise.all(nodes.map((node) => node.cli('CLUSTER', 'MYID')));
  await Promise.all(
    nodes.map(async (node, at) => {
      // Masters with the same epoch would have to agree first on who gets another.
      await node.cli('CLUSTER', 'SET-CONFIG-EPOCH', at + 1);
      if (at < masters) await node.cli('CLUSTER', 'ADDSLOTS', ...slotsOf(at, masters));
    }),
  );
  // Each meets each: else they would hear of one another in time.
  for (const [at, node] of nodes.entries()) {
    await Promise.all(nodes.slice(0, at).map(({ host, port }) => node.cli('CLUSTER', 'MEET', host, port)));
  }
  await Promise.all(
    nodes
      .slice(masters)
      .map((node, at) =>
        until('the replica has met its master', () =>
          node.cli('CLUSTER', 'REPLICATE', ids[at % masters] as string).catch(() => false as const),
        ),
      ),
  );
  const cluster = new RedisCluster(nodes);
  await cluster.ok();
  return cluster;
}
