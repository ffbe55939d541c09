import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The work of each process of a fleet. */
export interface Orders {
  readonly url: string;
  readonly prefix: string;
  readonly scopes: Readonly<Record<string, unknown>>;
  /** The number of callers; they take turns under each scope. */
  readonly identities: number;
  readonly decisions: number;
  /** The number of concurrent decisions. */
  readonly atOnce: number;
  /** The costs of decisions, in turn. */
  readonly costs: readonly number[];
}

/** The results of its decisions. */
export interface Report {
  readonly admitted: readonly (readonly [scope: string, identity: string, atMs: number, cost: number])[];
  readonly denied: number;
}

const WORKER = fileURLToPath(new URL('./worker.mjs', import.meta.url));

/** Lets several processes decide at once on one Redis: they start together, once all of them are up. */
export async function runFleet(processes: number, orders: Orders): Promise<readonly Report[]> {
  const workers = Array.from({ length: processes }, () => fork(WORKER, { execArgv: [] }));
  const message = <T>(at: number) =>
    new Promise<T>((resolve, reject) => {
      workers[at]?.once('message', (said) => resolve(said as T));
      workers[at]?.once('exit', (code) => reject(new Error(`A worker ended with ${code}.`)));
    });
  try {
    await Promise.all(workers.map((_, at) => message<'ready'>(at)));
    const reports = workers.map((_, at) => message<Report>(at));
    for (const worker of workers) worker.send(orders);
    return await Promise.all(reports);
  } finally {
    for (const worker of workers) worker.kill();
  }
}
