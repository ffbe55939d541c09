// Writes the live page of the admin API into TypeScript: one document with its style and its script in it, and
// the policy that lets these two through and nothing else. With --check it writes nothing, and fails where that
// would change anything.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, transform } from 'esbuild';
import { root } from './run.mjs';

const folder = join(root, 'lib', 'admin', 'page');
const target = join(root, 'lib', 'admin', 'page.gen.ts');
const uplot = join(root, 'node_modules', 'uplot');

const COMMON = { minify: true, charset: 'utf8', legalComments: 'none' };

const read = (...path) => readFileSync(join(...path), 'utf8');

/** The chart library asks that its notice goes with every copy. */
function notice() {
  const { name, version } = JSON.parse(read(uplot, 'package.json'));
  return `/*! ${name} ${version}\n\n${read(uplot, 'LICENSE').trim()} */\n`;
}

async function scriptOfPage() {
  const { outputFiles } = await build({
    ...COMMON,
    entryPoints: [join(folder, 'main.ts')],
    bundle: true,
    format: 'iife',
    target: 'es2022',
    write: false,
  });
  return notice() + outputFiles[0].text;
}

async function styleOfPage() {
  const { code } = await transform(read(uplot, 'dist', 'uPlot.min.css') + read(folder, 'page.css'), {
    ...COMMON,
    loader: 'css',
  });
  return code;
}

/** Puts text where a placeholder stands; it must not end the element that it stands in. */
function put(html, placeholder, text) {
  if (/<\/(script|style)|<!--/i.test(text)) throw new Error(`What goes to ${placeholder} would end there.`);
  if (html.split(placeholder).length !== 2) throw new Error(`page.html needs ${placeholder} once.`);
  return html.replace(placeholder, () => text);
}

const hashOf = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** The document, and the Content-Security-Policy that it is sent with. */
export async function makePage() {
  const [script, style] = await Promise.all([scriptOfPage(), styleOfPage()]);
  const html = read(folder, 'page.html')
    .replace(/<!--.*?-->\n/gs, '')
    .replace(/^\s+/gm, '');
  return {
    page: put(put(html, '/* page.css */', style), '/* main.ts */', script),
    csp: [
      `default-src 'none'`,
      `script-src ${hashOf(script)}`,
      `style-src ${hashOf(style)}`,
      `connect-src 'self'`,
      'img-src data:',
      `base-uri 'none'`,
      `form-action 'none'`,
      `frame-ancestors 'none'`,
      `require-trusted-types-for 'script'`,
      `trusted-types 'none'`,
    ].join('; '),
  };
}

if (process.argv[1] === import.meta.filename) {
  const { page, csp } = await makePage();
  const text = `// Made from page/ by \`npm run embed-page\`.
/** The live page, one document. */
export const PAGE: string = \`${page.replace(/[`\\$]/g, '\\$&')}\`;

/** The Content-Security-Policy to send it with. */
export const PAGE_CSP: string = \`${csp}\`;
`;
  if (!process.argv.includes('--check')) writeFileSync(target, text);
  else if (readFileSync(target, 'utf8') !== text) {
    console.error('lib/admin/page.gen.ts is not what lib/admin/page makes. Run npm run embed-page.');
    process.exit(1);
  }
}
