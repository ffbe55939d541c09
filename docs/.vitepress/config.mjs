// The documentation as a site: the README and the pages of docs/, and the reference that is made from the docstrings.
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const sidebarFile = new URL('../reference/typedoc-sidebar.json', import.meta.url);
const reference = existsSync(sidebarFile) ? JSON.parse(readFileSync(sidebarFile, 'utf8')) : [];

/** The pages in the order of the README, which lists each of them. */
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const pages = [...readme.matchAll(/^- \[([^\]]+)\]\((docs\/[\w-]+)\.md\)/gm)].map(([, text, path]) => ({
  text,
  link: `/${path}`,
}));

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What pages link to without being pages. */
const FILES = ['LICENSE', 'docs/grafana-dashboard.json'];

export default {
  title: 'nestjs-ratelimit',
  description: 'Rate limiting for NestJS',
  srcDir: '..',
  srcExclude: [
    '**/node_modules/**',
    '.github/**',
    'bench/**',
    'dist/**',
    // What they say stands in the reference, for readers.
    'docs/api/**',
    'lib/**',
    'sample-app/**',
    'test/**',
  ],
  rewrites: { 'README.md': 'index.md' },
  // The sample application where it runs, and FILES.
  ignoreDeadLinks: [/^https?:\/\/localhost/, /LICENSE$/],
  cleanUrls: true,
  buildEnd({ outDir }) {
    for (const file of FILES) {
      mkdirSync(dirname(join(outDir, file)), { recursive: true });
      copyFileSync(join(root, file), join(outDir, file));
    }
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: [
      { text: 'Pages', items: pages },
      { text: 'Reference', collapsed: true, items: reference },
      {
        text: 'Project',
        items: [
          { text: 'Changes', link: '/CHANGELOG' },
          { text: 'Contributing', link: '/CONTRIBUTING' },
          { text: 'Security', link: '/SECURITY' },
        ],
      },
    ],
  },
};
