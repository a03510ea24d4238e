// nbgrader's own pages in a browser, over a course whose submissions are graded.
import assert from "node:assert/strict";
import type { Browser } from "playwright-core";
import { JupyterServer, LabNotebook, menu, openPage, screenshot } from "./tools.ts";

/** JupyterLab's Assignment List in a student's folder: what is released is fetched, and handed in. */
export async function fetchAndSubmit(browser: Browser, venv: string, folder: string): Promise<void> {
  const server = await JupyterServer.start(venv, "lab", folder);
  try {
    const { page } = await openPage(browser);
    await page.goto(`${server.url}/lab?token=${server.token}`, { waitUntil: "domcontentloaded" });
    await menu(page, "Nbgrader", "Assignment List");
    const list = (id: string) => page.locator(`#${id}_assignments_list`);
    await list("released").getByRole("button", { name: "Fetch" }).click();
    await list("fetched").getByRole("button", { name: "Submit" }).click();
    await list("submitted").getByText("ps1").first().waitFor();
    await screenshot(page, "nbgrader-list");
  } finally {
    await server.stop();
  }
}

/** Formgrader and the panels in JupyterLab, as a teacher and a student use them. */
export async function lookAt(browser: Browser, venv: string, course: string): Promise<void> {
  const server = await JupyterServer.start(venv, "lab", course);
  try {
    const { page } = await openPage(browser);
    const visit = async (path: string, wanted: RegExp, name: string) => {
      await page.goto(`${server.url}/formgrader/${path}?token=${server.token}`, {
        waitUntil: "domcontentloaded",
      });
      await page.locator("body", { hasText: wanted }).waitFor();
      await screenshot(page, `nbgrader-${name}`);
    };
    await visit("manage_submissions/ps1", /bob[\s\S]*2 \/ 7/, "submissions");
    await visit("gradebook/ps1/ps1", /Submission #4/, "gradebook");
    const submissions = await page
      .locator('a[href*="/submissions/"]')
      .evaluateAll((links) => links.map((link) => link.getAttribute("href")!));
    const texts: string[] = [];
    for (const path of new Set(submissions)) {
      await page.goto(new URL(path, server.url).href, { waitUntil: "domcontentloaded" });
      await page
        .getByText(/[✓✗] [ab]: /)
        .first()
        .waitFor();
      texts.push(await page.locator("body").innerText());
    }
    await screenshot(page, "nbgrader-submission");
    assert.equal(texts.filter((text) => text.includes("✓ a: solved")).length, 1);
    assert.equal(texts.filter((text) => text.includes("✗ a: not yet")).length, 3);

    await LabNotebook.open(page, server, "source/ps1/ps1.ipynb");
    await page.locator('[title="Nbgrader Create Assignment"]').click();
    const panel = page
      .locator(".nbgrader-CreateAssignmentPanel, .nbgrader-NotebookPanelWidget, .nbgrader-NotebookWidget")
      .first();
    await panel.waitFor();
    await screenshot(page, "nbgrader-create");
    const values = await panel
      .locator("input")
      .evaluateAll((all) => all.map((one) => (one as HTMLInputElement).value));
    for (const value of ["a-work", "a-tests", "4"])
      assert.ok(values.includes(value), `${value} in ${values}`);

    await LabNotebook.open(page, server, "submitted/dan/ps1/ps1.ipynb");
    await page.locator(".jp-NotebookPanel-toolbar").getByText("Validate").click();
    const dialog = page.locator(".jp-Dialog");
    await dialog.waitFor({ timeout: 60_000 });
    await screenshot(page, "nbgrader-validate");
    assert.match(await dialog.innerText(), /cell failed[\s\S]*check\("a"/);
  } finally {
    await server.stop();
  }
}
