// Train, validation, test: chapters decide by validation images, and look at test images once at most.
import assert from "node:assert/strict";
import { join } from "node:path";
import { findChapters, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";

/** Whether code reaches for a data set's test images: `digits.test`, or `{ test } = digits`; not `/pattern/.test(…)`. */
function looksAtTest(code: string): boolean {
  return /\w\.test\b(?!\()/.test(code) || /\{[^}=]*\btest\b[^}=]*\}\s*=/.test(code);
}

describe("the chapters' use of test images", () => {
  it("the check sees what it should, and nothing else", () => {
    for (const bad of [
      "evaluate(model, digits.test)",
      "const { train, test } = digits;",
      "subset(data.test, 5)",
      "x = { test: all.test }",
    ])
      assert.ok(looksAtTest(bad), bad);
    for (const good of ['/x/.test("x")', "pattern.test(name)", "const { validation } = digits;", "a test"])
      assert.ok(!looksAtTest(good), good);
  });

  for (const edition of ["en", "zh"]) {
    it(`are looked at in one cell of a chapter at most, and in no exercise (${edition})`, async () => {
      const chapters = await findChapters(join(packageRoot, "notebooks"));
      for (const { path, language } of chapters.filter((chapter) => chapter.language === edition)) {
        const cells = (await readNotebook(path)).cells.filter(
          (cell) => cell.cell_type === "code" && looksAtTest(textOf(cell.source)),
        );
        const names = cells.map(({ id }) => id).join(", ");
        assert.ok(cells.length <= 1, `${language} ${path}: ${names} look at test images`);
        for (const { id = "" } of cells) {
          assert.doesNotMatch(id, /exercise/, `${path}: an exercise is solved by looking at test images`);
        }
      }
    });
  }
});
