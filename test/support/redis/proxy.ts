import { createServer, type Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a proxy does with what it is sent. */
export type ProxyWay =
  /** Hands everything on, this many milliseconds later in each direction together. */
  | { readonly delayMs: number }
  /** Accepts, and answers nothing for ever. */
  | 'silent'
  /** Hands half of each reply on, and resets the connection. */
  | 'resets';

/** Stands between a store and its server, and is as bad as a network can be. */
export class FaultyProxy {
  way: ProxyWay = { delayMs: 0 };
  /** How often clients have called a script. */
  calls = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** When everything that came for a socket has been handed on. */
  readonly #handed = new WeakMap<Socket, Promise<void>>();

  private constructor(readonly target: { readonly host: string; readonly port: number }) {
    this.#server = createServer((client) => this.#serve(client));
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    running.add(proxy);
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  close(): void {
    running.delete(this);
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(client: Socket): void {
    const server = new Socket();
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    server.connect(this.target.port, this.target.host);
    client.on('data', (data) => {
      this.calls += String(data).split(/evalsha/i).length - 1;
      this.#hand(data, server);
    });
    server.on('data', (data) => {
      if (this.way === 'resets')
        client.write(data.subarray(0, data.length / 2), () => client.resetAndDestroy());
      else this.#hand(data, client);
    });
  }

  /** Hands on in the order in which it came, also when the delay has become shorter meanwhile. */
  #hand(data: Buffer, to: Socket): void {
    if (this.way === 'silent') return;
    const dueMs = performance.now() + (this.way === 'resets' ? 0 : this.way.delayMs / 2);
    const before = this.#handed.get(to) ?? Promise.resolve();
    const handed = before.then(async () => {
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      if (to.writable) to.write(data);
    });
    this.#handed.set(to, handed);
  }
}

/** Those that a failing test has left running. */
const running = new Set<FaultyProxy>();
afterAll(() => {
  for (const proxy of running) proxy.close();
});
