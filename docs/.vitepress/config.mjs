// The documentation as a site: the README and the pages of docs/, and the API reference generated from the docstrings.
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const sidebarFile = new URL('../reference/typedoc-sidebar.json', import.meta.url);
const reference = existsSync(sidebarFile) ? JSON.parse(readFileSync(sidebarFile, 'utf8')) : [];

/** The groups of pages that the README lists, in its order. */
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const [, list = ''] = readme.split('## Documentation');
const groups = [...list.matchAll(/^([A-Z][\w-]+(?: \w+)?)\n\n((?:- .*\n)+)/gm)].map(([, text, items]) => ({
  text,
  items: [...items.matchAll(/^- \[([^\]]+)\]\((docs\/[\w-]+)\.md\)/gm)].map(([, text, path]) => ({
    text,
    link: `/${path}`,
  })),
}));

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Files that pages link to. */
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
    // The API reference has the same content, for readers.
    'docs/api/**',
    'lib/**',
    'sample-app/**',
    'test/**',
  ],
  rewrites: { 'README.md': 'index.md' },
  // The running sample application, and FILES.
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
      ...groups,
      { text: 'API', collapsed: true, items: reference },
      {
        text: 'Project',
        items: [
          { text: 'Changelog', link: '/CHANGELOG' },
          { text: 'Contributing', link: '/CONTRIBUTING' },
          { text: 'Security', link: '/SECURITY' },
        ],
      },
    ],
  },
};
