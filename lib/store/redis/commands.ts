import { createHash } from 'node:crypto';
import type { RedisClient } from './ioredis.js';
import { SCRIPTS } from './scripts.gen.js';

type ScriptName = keyof typeof SCRIPTS;
type Argument = string | number;
type Command = (keyCount: number, ...args: Argument[]) => Promise<unknown>;

/** Our scripts as commands of a client, which loads them, and loads them again where a server has lost them. */
export class Commands {
  readonly #commands: Readonly<Record<ScriptName, Command>>;

  constructor(client: RedisClient) {
    const defined = Object.entries(SCRIPTS).map(([name, lua]) => {
      // A client may serve two versions of this library.
      const command = `ratelimit_${name}_${createHash('sha1').update(lua).digest('hex').slice(0, 8)}`;
      client.defineCommand(command, { lua });
      // Decisions come in bytes, which are no text.
      const method = name === 'consume' ? `${command}Buffer` : command;
      const call = (client as unknown as Record<string, Command>)[method] as Command;
      return [name, call.bind(client)];
    });
    this.#commands = Object.fromEntries(defined) as Record<ScriptName, Command>;
  }

  run(script: ScriptName, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#commands[script](keys.length, ...keys, ...args);
  }
}
