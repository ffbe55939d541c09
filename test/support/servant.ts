import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

interface Message {
  readonly id: number;
  readonly answer: unknown;
}

/**
 * A process of its own that a test asks things of: what is timed must not wait while Jest collects the memory
 * of all suites that it has run.
 */
export class Servant {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (answer: unknown) => void; reject: (error: Error) => void }
  >();
  #asked = 0;

  private constructor(script: string, args: readonly string[]) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    this.#child = fork(path, args, { execArgv: ['--no-warnings'] });
    this.#child.on('message', ({ id, answer }: Message) => {
      this.#waiting.get(id)?.resolve(answer);
      this.#waiting.delete(id);
    });
    this.#child.on('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${script} ended with ${code}.`));
      this.#waiting.clear();
    });
    running.add(this);
  }

  /** Starts a script of this folder that calls `serve` of serve.mjs. */
  static async start(script: string, ...args: readonly string[]): Promise<Servant> {
    const servant = new Servant(script, args);
    await servant.#answer(0);
    return servant;
  }

  ask<T>(name: string, given?: unknown): Promise<T> {
    const id = ++this.#asked;
    const answer = this.#answer(id);
    this.#child.send({ id, name, given });
    return answer as Promise<T>;
  }

  end(): void {
    running.delete(this);
    if (this.#child.connected) this.#child.disconnect();
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }
}

/** Those that a failing test has left running. */
const running = new Set<Servant>();
afterAll(() => {
  for (const servant of running) servant.end();
});

/** Milliseconds that mean the same in all of these processes. */
export const nowMs = (): number => performance.timeOrigin + performance.now();
