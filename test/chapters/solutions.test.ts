// Every exercise of the workbook has a solution, and the students' edition has nothing of it. Whether it solves the exercise
// is tried where chapters run (workbook.test.ts).
import assert from "node:assert/strict";
import { join } from "node:path";
import { assignmentOf } from "../../lib/classroom/assignment.ts";
import { leakIn, nbgraderSource, secretsOf, studentEdition } from "../../lib/classroom/release.ts";
import { isSolution, solutionsIn, solvedSource } from "../../lib/classroom/solutions.ts";
import { sayIn, textsFor } from "../../lib/classroom/speech.ts";
import { findChapters, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { codeCells } from "../../lib/notebook/run.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { otherAnswers } from "./answers.ts";

const chapters = (await findChapters(join(packageRoot, "notebooks"))).filter(({ number }) => number !== "");

/** Exercises with one right answer in one form, and goals that take a training to reach: their solutions stand alone. */
const onlySolution = new Set([
  "1.2-b",
  "3.1.2-d",
  "3.1.3-d",
  "3.1.4-d",
  "3.2.1-d",
  "3.2.2-d",
  "3.4-c",
  "4.1-b",
  "4.2-a",
]);

describe("the workbook's exercises", () => {
  it("each has answers that are wrong as learners are wrong, and one that is right in another way", async () => {
    const names: string[] = [];
    for (const { path, language } of chapters) {
      if (language !== "en") continue; // the Chinese edition has the same code
      for (const cell of (await assignmentOf(await readNotebook(path), path)).cells)
        names.push(...cell.names);
    }
    assert.deepEqual(Object.keys(otherAnswers).sort(), names.sort());
    for (const name of names) {
      const { right = [], wrong = [] } = otherAnswers[name];
      assert.ok(wrong.length > 0, `${name} has no wrong answer`);
      assert.equal(right.length === 0, onlySolution.has(name), `${name}, right answers`);
    }
  });

  for (const { path, slug, language } of chapters) {
    it(`${language} ${slug}: every check says which of the chapter's sections to read again, in its language`, async () => {
      const { cells } = await readNotebook(path);
      const prose = cells
        .filter(({ cell_type }) => cell_type === "markdown")
        .map(({ source }) => textOf(source));
      const sections = prose.flatMap((text) => [...text.matchAll(/^##+ (.*)$/gm)].map(([, title]) => title));
      const texts = textsFor(language);
      for (const { cell_type, id, source } of cells) {
        if (cell_type !== "code" || !id?.startsWith("exercise") || !textOf(source).includes("check("))
          continue;
        const code = textOf(source);
        const read = /\bread: ("(?:[^"\\]|\\.)*")/.exec(code)?.[1];
        assert.ok(read, `nothing to read again: ${code}`);
        const said = sayIn(texts, JSON.parse(read));
        assert.ok(sections.includes(said), `${slug} has no section ${JSON.stringify(said)}`);
      }
    });
  }

  for (const { path, slug, language } of chapters) {
    it(`${language} ${slug}: every exercise has a solution, and none of it is left in the students' edition`, async () => {
      const notebook = await readNotebook(path);
      const { cells } = await assignmentOf(notebook, path);
      const solutions = solutionsIn(notebook);
      for (const { index, names } of cells.filter(({ id }) => id?.startsWith("exercise"))) {
        const solution = solutions.get(index);
        assert.ok(solution !== undefined, `${names} has no solution after it`);
        const solved = await solvedSource(textOf(notebook.cells[index].source), solution);
        assert.ok(
          !solved.split("\n").some((line) => /your turn/.test(line) && !line.trim().startsWith("//")),
          solved,
        );
      }
      assert.ok(!codeCells(notebook).some(({ cell }) => isSolution(cell)), "“Run All” runs no solution");
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
});
