// Finds a browser for the tests of the live page, and installs Debian's where that is possible.
import { install, onPath } from './apt.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];

const browserPath = () => process.env.CHROMIUM_PATH ?? NAMES.map(onPath).find((path) => path !== undefined);

/** Gives the browser's program. */
export function setUpBrowser() {
  if (browserPath() === undefined) install('chromium');
  const found = browserPath();
  if (found !== undefined) return found;
  console.error(
    'The tests need Chromium. Debian: apt-get install chromium; others: install Chrome, and set CHROMIUM_PATH to its program.',
  );
  process.exit(1);
}
