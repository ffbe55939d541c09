// The browser in which the tests open the live page.
import { onPath } from './apt.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];

/** The browser's program; undefined where there is none. */
export const browserPath = () =>
  process.env.CHROMIUM_PATH ?? NAMES.map(onPath).find((path) => path !== undefined);

export const browser = {
  debianPackage: 'chromium',
  help: 'The browser tests need Chromium. Debian: apt-get install chromium; others: install Chrome, and set CHROMIUM_PATH to its program.',
  isInstalled: () => browserPath() !== undefined,
};
