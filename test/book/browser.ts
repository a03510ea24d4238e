// Real Chromium for tests of pages.
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const candidates = [
  process.env.SLIMLAB_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** The browser's program; undefined where there is none, which CI does not forgive. */
export function browserPath(): string | undefined {
  const path = candidates.find((candidate) => candidate && existsSync(candidate));
  if (!path && process.env.CI) throw new Error("CI must have Chromium: apt-get install chromium");
  return path;
}

/** Headless, as any user, and without the connections that it would make by itself. */
export const browserFlags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts it, without the connections that it would make by itself. */
export function startBrowser(...flags: string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: browserPath(),
    args: [...browserFlags, ...flags],
  });
}

/** The processes in which a browser's pages and their workers run. */
export async function pageProcesses(browser: Browser): Promise<number[]> {
  const driver = await browser.newBrowserCDPSession();
  const { processInfo } = await driver.send("SystemInfo.getProcessInfo");
  await driver.detach();
  return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
}
