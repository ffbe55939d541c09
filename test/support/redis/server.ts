import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RedisOptions as ClientOptions, Redis } from 'ioredis';
import { freePort } from './ports.js';

const onPath = (program: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));

/** Valkey answers as Redis does. */
const product = onPath('redis-server') || !onPath('valkey-server') ? 'redis' : 'valkey';

/**
 * Becomes the server, beside a watcher that kills it when this process ends: then descriptor 3 closes.
 * A closed terminal, and the end of a parent with paused children, hang up on the watcher too.
 */
const WATCHED = '(trap "" HUP INT TERM; read _ <&3 || kill -9 $$) & exec "$@" 3<&-';

/** Of a connection for one command: sends nothing else, and is not made anew. */
const ONE_COMMAND: ClientOptions = {
  disableClientInfo: true,
  enableReadyCheck: false,
  protocol: 2,
  retryStrategy: () => null,
};

/** A reply as redis-cli prints it. */
const printed = (reply: unknown): string =>
  Array.isArray(reply) ? reply.map(printed).join('\n') : String(reply ?? '');

/** A server of its own on 127.0.0.1, in a temporary folder that lasts until the test file ends. */
export class RedisServer {
  readonly host = '127.0.0.1';
  readonly url: string;
  #process: ChildProcess | undefined;
  #paused = false;

  /** @param dir holds redis.conf, redis.log and the data */
  constructor(
    readonly port: number,
    readonly dir: string,
    readonly flags: readonly string[] = [],
  ) {
    this.url = `redis://${this.host}:${port}`;
  }

  /** The last process that was started. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get running(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** Running and not paused. */
  get answering(): boolean {
    return this.running && !this.#paused;
  }

  async start(): Promise<void> {
    const log = openSync(this.#file('redis.log'), 'a');
    const command = [`${product}-server`, this.#file('redis.conf'), ...this.flags];
    const child = spawn('sh', ['-c', WATCHED, 'sh', ...command], { stdio: ['ignore', log, log, 'pipe'] });
    closeSync(log);
    const watcher = child.stdio[3] as Socket;
    watcher.on('error', () => {});
    child.once('exit', () => watcher.end('\n'));
    this.#process = child;
    this.#paused = false;
    while (!(await this.#isReady())) {
      if (!this.running)
        throw new Error(`${command[0]} ended:\n${readFileSync(this.#file('redis.log'), 'utf8')}`);
      await sleep(10);
    }
  }

  /**
   * What redis-cli prints for a command; an error reply is thrown. Of its options it knows `-a password
   * --no-auth-warning`. It is no process of its own: tests send hundreds of commands.
   */
  async cli(...args: readonly (string | number)[]): Promise<string> {
    const [password, words] = args[0] === '-a' ? [String(args[1]), args.slice(3)] : [undefined, args];
    const [name = '', ...given] = words.map(String);
    const client = new Redis({ ...ONE_COMMAND, host: this.host, port: this.port, password });
    // The command tells it, too.
    client.on('error', () => undefined);
    try {
      return printed(await client.call(name, ...given)).replace(/\n$/, '');
    } finally {
      client.disconnect();
    }
  }

  /** One field of what INFO, or a command that answers alike, says. */
  async info(field: string, ...command: readonly string[]): Promise<string | undefined> {
    const lines = (await this.cli(...(command.length === 0 ? ['INFO'] : command))).split(/\r?\n/);
    return lines.find((line) => line.startsWith(`${field}:`))?.slice(field.length + 1);
  }

  /** Ends the server as its operator would. */
  async stop(): Promise<void> {
    this.resume();
    // A master waits for its replicas before it ends.
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), 2_000);
    await this.#end('SIGTERM');
    clearTimeout(timer);
  }

  /** Ends the server as a crash would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Starts again with the same port, configuration and data. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Lets connections stand and answers nothing until it is resumed. */
  pause(): void {
    this.#paused = this.#process?.kill('SIGSTOP') ?? false;
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
    this.#paused = false;
  }

  #file(name: string): string {
    return join(this.dir, name);
  }

  /** Asks for the process as well: another server may have taken the port meanwhile. */
  async #isReady(): Promise<boolean> {
    const info = await this.cli('INFO').catch(() => '');
    return info.includes(`process_id:${this.pid}\r`) && !info.includes('loading:1\r');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#process === undefined || !this.running) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill(signal);
    await ended;
  }
}

export interface RedisOptions {
  /** Default: a free port. */
  readonly port?: number;
  /** True writes each command to disk before the reply. Default: nothing is written. */
  readonly appendOnly?: boolean;
  /** Further lines of redis.conf. */
  readonly config?: readonly string[];
  /** True for a sentinel. */
  readonly sentinel?: boolean;
}

/** A test file's own top-level `afterAll` comes after this one, and finds the servers gone. */
const started = new Set<RedisServer>();
afterAll(async () => {
  await Promise.all([...started].map((server) => server.kill()));
  for (const { dir } of started) rmSync(dir, { recursive: true, force: true });
});

function linesOf(port: number, dir: string, options: RedisOptions): string[] {
  const { appendOnly = false, config = [], sentinel = false } = options;
  const data = [
    'save ""',
    `appendonly ${appendOnly ? 'yes' : 'no'}`,
    'appendfsync always',
    'repl-diskless-sync-delay 0',
  ];
  return ['bind 127.0.0.1', `port ${port}`, `dir "${dir}"`, ...(sentinel ? [] : data), ...config, ''];
}

/** Starts a server that is killed when the test file ends. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  for (;;) {
    const port = options.port ?? (await freePort());
    const dir = mkdtempSync(join(tmpdir(), 'redis-'));
    const server = new RedisServer(port, dir, options.sentinel ? ['--sentinel'] : []);
    started.add(server);
    writeFileSync(join(dir, 'redis.conf'), linesOf(port, dir, options).join('\n'));
    try {
      await server.start();
      return server;
    } catch (error) {
      const taken = /address already in use/i.test(String(error));
      if (!taken || options.port !== undefined) throw error;
    }
  }
}
