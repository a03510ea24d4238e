// axe-core, Deque's checks against WCAG, run in a page of the book.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";

const path = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
let source: Promise<string> | undefined;

/** How a page is looked at: a desk by day and by night, and a phone. */
export const views = {
  desktop: { width: 1280, height: 900, colorScheme: "light" },
  "dark desktop": { width: 1280, height: 900, colorScheme: "dark" },
  phone: { width: 390, height: 844, colorScheme: "light" },
} as const;
export type View = keyof typeof views;

/**
 * What axe-core calls serious or critical on a page that is open, each with the first element that it names. The page's
 * context must be made with `bypassCSP`.
 */
export async function seriousTroubles(page: Page, view: View): Promise<string[]> {
  const { width, height, colorScheme } = views[view];
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme });
  source ??= readFile(path, "utf8");
  await page.evaluate(await source);
  const troubles = await page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run(
          context: Document,
          options: object,
        ): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>;
      };
    };
    const { violations } = await axe.run(document, {
      resultTypes: ["violations"],
      preload: false, // style sheets of a page that is a file cannot be fetched
    });
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id} (${nodes.length}): ${nodes[0].html.slice(0, 160)}`);
  });
  return troubles.map((trouble) => `${view}: ${trouble}`);
}
