import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';

const SCREENSHOTS = fileURLToPath(new URL('../screenshots', import.meta.url));

/** The size of the screen. */
export const SIZES = {
  desktop: { viewport: { width: 1_280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
} as const;

export const openBrowser = (): Promise<Browser> =>
  // Its own sandbox needs what containers do not give.
  chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });

/** A page of a browser, and everything that its console has shown. */
export class Screen {
  readonly console: string[] = [];

  private constructor(readonly page: Page) {
    page.on('console', (message) => this.console.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => this.console.push(String(error)));
  }

  static async open(
    browser: Browser,
    size: keyof typeof SIZES,
    colorScheme: 'light' | 'dark',
  ): Promise<Screen> {
    const context = await browser.newContext({ ...SIZES[size], colorScheme });
    return new Screen(await context.newPage());
  }

  /** The text of an element. */
  text(selector: string): Promise<string> {
    return this.page.locator(selector).innerText();
  }

  /** Writes what it shows into a folder that git ignores. */
  async shoot(name: string): Promise<void> {
    mkdirSync(SCREENSHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
  }

  /** The accessibility violations by all rules of axe, or only by the named ones. */
  async violations(...rules: readonly string[]): Promise<readonly string[]> {
    await this.page.evaluate(axe.source);
    const options = rules.length === 0 ? {} : { runOnly: rules };
    const { violations } = await this.page.evaluate<{
      violations: { id: string; nodes: { html: string }[] }[];
    }>(`axe.run(${JSON.stringify(options)})`);
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  }
}
