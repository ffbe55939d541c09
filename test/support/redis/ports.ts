import { createServer } from 'node:net';

/** Below the ports of outgoing connections, with room for the cluster bus 10000 above. */
const [FIRST, COUNT, BUS] = [12_000, 10_000, 10_000];

/**
 * Each worker of Jest has ports of its own: where a test has killed a server, or needs a port on which nobody
 * listens, no server of another worker appears. More workers than this share ports.
 */
const WORKERS = 40;
const MINE = COUNT / WORKERS;
const firstOfMine = FIRST + MINE * (Number(process.env.JEST_WORKER_ID ?? 0) % WORKERS);

const given = new Set<number>();

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** A port of 127.0.0.1 that is free, and so is its cluster bus; each is given once. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = firstOfMine + Math.floor(Math.random() * MINE);
    if (given.has(port)) continue;
    given.add(port);
    if ((await isFree(port)) && (await isFree(port + BUS))) return port;
  }
}
