// Pieces of documentation, compiled as a user's project would compile them.
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const exec = promisify(execFile);
export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Snippet {
  readonly name: string;
  readonly code: string;
}

/** A folder for snippets, within the tests: there the library and what it is used with are found. */
export class Snippets {
  readonly folder: string;

  /** @param settings Of the compiler, beside those of the project. */
  constructor(
    name: string,
    readonly settings: Readonly<Record<string, boolean>> = {},
  ) {
    this.folder = join(root, 'test', 'docs', 'snippets', name);
  }

  async open(): Promise<void> {
    await this.close();
    await mkdir(this.folder, { recursive: true });
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }

  /** What the compiler says of snippets, with others beside all of them; nothing when they are right. */
  async complaints(snippets: readonly Snippet[], beside: readonly Snippet[] = []): Promise<string> {
    await this.#write([...snippets, ...beside]);
    // What one declares about the library holds for that one alone.
    const alone = snippets.filter(({ code }) => code.includes('declare module'));
    const together = snippets.filter((snippet) => !alone.includes(snippet));
    const said = [await this.#compile('together', [...together, ...beside])];
    for (const snippet of alone) said.push(await this.#compile(snippet.name, [snippet, ...beside]));
    return said.join('');
  }

  async #write(snippets: readonly Snippet[]): Promise<void> {
    for (const { name, code } of snippets) await writeFile(join(this.folder, `${name}.ts`), code);
  }

  async #compile(project: string, snippets: readonly Snippet[]): Promise<string> {
    const files = snippets.map(({ name }) => `${name}.ts`);
    const file = join(this.folder, `${project}.json`);
    const config = {
      extends: '../../../../tsconfig.json',
      compilerOptions: this.settings,
      files,
      include: [],
      exclude: [],
    };
    await writeFile(file, JSON.stringify(config));
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    // Several threads would each check what they share.
    return exec(process.execPath, [tsc, '-p', file, '--singleThreaded']).then(
      () => '',
      (error: { stdout: string }) => error.stdout,
    );
  }
}
