// Every exercise of the workbook can be solved: what is handed out is not solved yet, and its solution solves it, types and all.
import assert from "node:assert/strict";
import { join } from "node:path";
import { type Assignment, assignmentOf } from "../../lib/classroom/assignment.ts";
import { type CheckCase, checkMime } from "../../lib/classroom/check.ts";
import { isSolution, solvedSource } from "../../lib/classroom/exercises.ts";
import { leakIn, nbgraderSource, secretsOf, studentEdition } from "../../lib/classroom/release.ts";
import { sliceFor } from "../../lib/classroom/slice.ts";
import { type KernelClient, startKernel } from "../../lib/kernel/client.ts";
import { findChapters, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { run } from "../../lib/notebook/run.ts";
import { packageRoot } from "../../lib/util/files.ts";

const folder = join(packageRoot, "notebooks");
const numbered = (await findChapters(folder)).filter(({ number }) => number !== "");
const chapters: typeof numbered = [];
for (const chapter of numbered) {
  if ((await readNotebook(chapter.path)).cells.some(isSolution)) chapters.push(chapter);
}

/** A cell's checks, by exercise. */
async function checked(kernel: KernelClient, source: string): Promise<Map<string, CheckCase[]>> {
  const { status, outputs, content } = await kernel.execute(source);
  assert.equal(status, "ok", `${content.ename}: ${content.evalue}\n${source}`);
  const found = new Map<string, CheckCase[]>();
  for (const output of outputs) {
    const result = output.output_type === "execute_result" ? output.data[checkMime] : undefined;
    if (result) found.set((result as { name: string }).name, (result as { cases: CheckCase[] }).cases);
  }
  return found;
}

/** The cells that the exercises of a chapter stand on. */
function groundOf({ notebook, facts, cells }: Assignment): Set<number> {
  const own = new Set(cells.map(({ index }) => index));
  const usable = new Map([...facts].filter(([index]) => !isSolution(notebook.cells[index])));
  const names = [...facts.values()]
    .filter(({ index }) => own.has(index) || isSolution(notebook.cells[index]))
    .flatMap(({ references }) => [...references]);
  return sliceFor(usable, names);
}

describe("the workbook's exercises", () => {
  it("some chapters have solutions, in both editions", () => {
    const slugs = (of: string) => chapters.filter(({ language }) => language === of).map(({ slug }) => slug);
    assert.ok(slugs("en").length > 0);
    assert.deepEqual(slugs("zh"), slugs("en"));
  });

  for (const { path, slug, language } of chapters) {
    it(`${language} ${slug}: every exercise has a solution, and none of it is left in the students' edition`, async () => {
      const notebook = await readNotebook(path);
      const { cells } = await assignmentOf(notebook, path);
      for (const { index, names } of cells.filter(({ id }) => id?.startsWith("exercise"))) {
        assert.ok(isSolution(notebook.cells[index + 1]), `${names} has no solution after it`);
        const solved = await solvedSource(
          textOf(notebook.cells[index].source),
          textOf(notebook.cells[index + 1].source),
        );
        assert.ok(
          !solved.split("\n").some((line) => /your turn/.test(line) && !line.trim().startsWith("//")),
          solved,
        );
      }
      const released = await studentEdition(notebook, path);
      assert.equal(leakIn(released, secretsOf(notebook)), undefined);
      const graded = released.cells.filter(
        ({ metadata }) => (metadata.nbgrader as { grade?: boolean } | undefined)?.grade,
      );
      assert.equal(
        graded.length,
        cells.reduce((sum, { names }) => sum + names.length, 0),
      );
      const source = await nbgraderSource(notebook, path);
      const ids = source.cells
        .map(({ metadata }) => (metadata.nbgrader as { grade_id?: string } | undefined)?.grade_id)
        .filter(Boolean);
      assert.equal(new Set(ids).size, ids.length, "nbgrader wants each name once");
    });
  }

  for (const { path, slug } of chapters.filter(({ language }) => language === "en")) {
    it(`${slug}: not solved as it is handed out, solved by its solutions`, async function () {
      this.timeout(600_000);
      const assignment = await assignmentOf(await readNotebook(path), path);
      const { notebook, cells } = assignment;
      const ground = groundOf(assignment);
      const kernel = await startKernel({ cwd: folder });
      try {
        const { report } = await run(notebook, {
          name: path,
          kernel,
          only: (_cell, index) => ground.has(index),
        });
        assert.equal(report.status, "ok", JSON.stringify(report.failure));
        for (const { index } of cells.filter(
          ({ index }) => notebook.cells[index + 1] && isSolution(notebook.cells[index + 1]),
        )) {
          const stub = textOf(notebook.cells[index].source);
          for (const [name, cases] of await checked(kernel, stub)) {
            assert.ok(
              cases.some(({ passed }) => !passed),
              `${name} is solved by what is handed out`,
            );
          }
          const solved = await checked(
            kernel,
            await solvedSource(stub, textOf(notebook.cells[index + 1].source)),
          );
          assert.ok(solved.size > 0);
          for (const [name, cases] of solved) {
            const failed = cases.filter(({ passed }) => !passed);
            assert.deepEqual(failed, [], `${name} is not solved by its solution`);
          }
        }
      } finally {
        await kernel.shutdown();
      }
    });
  }
});
