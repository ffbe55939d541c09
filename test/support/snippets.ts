// Snippets of documentation, compiled as in a user's project.
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

/** A folder for snippets within the tests, where the library and its peers can be resolved. */
export class Snippets {
  readonly folder: string;

  /** @param settings Compiler options in addition to those of the project. */
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

  /**
   * Returns the compiler's errors; an empty text if there are none.
   *
   * @param extra Compiled together with each of the snippets.
   */
  async errors(snippets: readonly Snippet[], extra: readonly Snippet[] = []): Promise<string> {
    await this.#write([...snippets, ...extra]);
    // A snippet that augments the library's types is compiled by itself.
    const separate = snippets.filter(({ code }) => code.includes('declare module'));
    const together = snippets.filter((snippet) => !separate.includes(snippet));
    const output = [await this.#compile('together', [...together, ...extra])];
    for (const snippet of separate) output.push(await this.#compile(snippet.name, [snippet, ...extra]));
    return output.join('');
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
    // Several threads would each check the shared files again.
    return exec(process.execPath, [tsc, '-p', file, '--singleThreaded']).then(
      () => '',
      (error: { stdout: string }) => error.stdout,
    );
  }
}
