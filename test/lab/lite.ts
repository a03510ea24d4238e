// JupyterLite's pages as a person uses them.
import type { Locator, Page } from "playwright-core";
import { kernelIdle } from "./tools.ts";

/** The cell number `index`, from 0. */
export const cellAt = (page: Page, index: number): Locator =>
  page.locator(`.jp-Notebook .jp-Cell[data-windowed-list-index="${index}"]`);

export const outputOf = (page: Page, index: number): Locator =>
  cellAt(page, index).locator(".jp-OutputArea-output");

/** Starts a cell and does not wait for its end. */
export async function runCell(page: Page, index: number): Promise<void> {
  await cellAt(page, index).locator(".cm-content").click();
  await page.keyboard.press("Control+Enter");
}

/** Opens a notebook of a site and waits for its first cell and its kernel. */
export async function openNotebook(page: Page, base: string, path: string): Promise<void> {
  await page.goto(`${base}notebooks/index.html?path=${path}`);
  await cellAt(page, 0).waitFor();
  await kernelIdle(page);
}
