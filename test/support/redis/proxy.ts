import { Servant } from '../servant.js';

/** The behaviour of a proxy. */
export type ProxyWay =
  /** Hands everything on, this many milliseconds later in both directions together. */
  | { readonly delayMs: number }
  /** Accepts, and answers nothing for ever. */
  | 'silent'
  /** Hands half of each reply on, and resets the connection. */
  | 'resets';

/** Stands between a store and its server, in a process of its own. */
export class FaultyProxy {
  private constructor(
    readonly servant: Servant,
    readonly url: string,
  ) {}

  static async start({ host, port }: { readonly host: string; readonly port: number }): Promise<FaultyProxy> {
    const servant = await Servant.start('./redis/faulty.mjs', host, String(port));
    return new FaultyProxy(servant, `redis://127.0.0.1:${await servant.ask<number>('port')}`);
  }

  become(way: ProxyWay): Promise<void> {
    return this.servant.ask('become', way);
  }

  /** The number of script calls by clients. */
  calls(): Promise<number> {
    return this.servant.ask('calls');
  }

  close(): void {
    this.servant.end();
  }
}
