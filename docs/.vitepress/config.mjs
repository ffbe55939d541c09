// The documentation as a site: the README and the pages of docs/, and the reference that is made from the docstrings.
import { existsSync, readFileSync } from 'node:fs';

const sidebarFile = new URL('../reference/typedoc-sidebar.json', import.meta.url);
const reference = existsSync(sidebarFile) ? JSON.parse(readFileSync(sidebarFile, 'utf8')) : [];

/** The pages in the order of the README, which lists each of them. */
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const pages = [...readme.matchAll(/^- \[([^\]]+)\]\((docs\/[\w-]+)\.md\)/gm)].map(([, text, path]) => ({
  text,
  link: `/${path}`,
}));

export default {
  title: 'nestjs-ratelimit',
  description: 'Rate limiting for NestJS',
  srcDir: '..',
  srcExclude: [
    '**/node_modules/**',
    '.github/**',
    'bench/**',
    'dist/**',
    'lib/**',
    'sample-app/**',
    'test/**',
  ],
  rewrites: { 'README.md': 'index.md' },
  // The sample application where it runs, and the licence, which is no page.
  ignoreDeadLinks: [/^https?:\/\/localhost/, /LICENSE$/],
  cleanUrls: true,
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
