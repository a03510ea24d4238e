import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  byNumber,
  checkKernel,
  findChapters,
  type Notebook,
  parseNotebook,
  readNotebook,
  titleIn,
  titleOf,
} from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { markdown, notebook, save } from "../chapters/notebooks.ts";

describe("notebooks as files", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-notebook-"));
  });
  after(() => rm(folder, { recursive: true }));

  it("what is no notebook is refused, and the error says what it is", async () => {
    const refused = async (content: string, message: RegExp) =>
      assert.rejects(readNotebook(await save(join(folder, "bad.ipynb"), content)), message);
    await assert.rejects(readNotebook(join(folder, "none.ipynb")), /none\.ipynb does not exist/);
    await refused("{", /bad\.ipynb is not JSON, so not a notebook/);
    await refused("", /bad\.ipynb is empty: was it uploaded to its end/);
    await refused("[1]", /is not a notebook: it holds Array\(1\)/);
    await refused("null", /is not a notebook: it holds null/);
    await refused(
      '{"nbformat": 3, "worksheets": []}',
      /must be of notebook format 4, got 3; opening and saving it/,
    );
    await refused('{"nbformat": 5, "cells": []}', /must be of notebook format 4, got 5$/);
    await refused('{"nbformat": 4}', /has no list of cells/);
    await refused('{"nbformat": 4, "cells": [{"cell_type": "code"}]}', /misshapen cell: number 1/);
    await refused('{"nbformat": 4, "cells": [null]}', /misshapen cell: number 1/);
  });

  it("a byte-order mark is passed over, and what is no metadata counts as none", () => {
    const text =
      '{"nbformat": 4, "metadata": 5, "cells": [{"cell_type": "code", "source": "1", "metadata": []}]}';
    const { metadata, cells } = parseNotebook(`\uFEFF${text}`, "bom.ipynb");
    assert.deepEqual([metadata, cells[0].metadata, cells[0].outputs], [{}, {}, []]);
  });

  it("a notebook must name a kernel of our language", () => {
    const of = (kernelspec?: { name: string; language?: string }) =>
      ({ nbformat: 4, nbformat_minor: 5, metadata: { kernelspec }, cells: [] }) as Notebook;
    assert.throws(() => checkKernel("a.ipynb", of()), /a\.ipynb has no kernelspec: open it in JupyterLab/);
    assert.throws(
      () => checkKernel("a.ipynb", of({ name: "python3", language: "python" })),
      /is for the kernel "python3"/,
    );
    checkKernel("a.ipynb", of({ name: "slimlab" }));
    checkKernel("a.ipynb", of({ name: "tslab" }));
    checkKernel("a.ipynb", of({ name: "other", language: "TypeScript" }));
  });

  it("chapters stand in the order of their numbers, part by part", async () => {
    const names = ["10.1-z", "3.1.10-b", "3.1.9-a", "3.1-c", "start", "2-x"];
    for (const name of names) await save(join(folder, "order", `${name}.ipynb`), notebook());
    await save(join(folder, "order", "zh", "2-x.ipynb"), notebook());
    await save(join(folder, "order", ".ipynb_checkpoints", "2-x.ipynb"), notebook());
    const chapters = await findChapters(join(folder, "order"));
    assert.deepEqual(
      chapters.map(({ language, slug }) => `${language} ${slug}`),
      ["en 2-x", "en 3.1-c", "en 3.1.9-a", "en 3.1.10-b", "en 10.1-z", "en start", "zh 2-x"],
    );
    assert.ok(byNumber({ number: "1", slug: "b" }, { number: "1", slug: "a" }) > 0);
    await assert.rejects(findChapters(join(folder, "nowhere")), /there is no folder of notebooks at/);
  });

  it("a heading in two languages is shown in one", () => {
    const title = titleOf(notebook(markdown("text"), markdown("# 3.1.1 Weight pruning · 权重剪枝\n")), "x");
    assert.equal(title, "Weight pruning · 权重剪枝");
    assert.equal(titleIn("en", title), "Weight pruning");
    assert.equal(titleIn("zh", title), "权重剪枝");
    assert.equal(titleIn("zh", "SVD"), "SVD");
    assert.equal(titleOf(notebook(), "3.3-low-rank"), "low rank");
  });

  it("committed notebooks hold no outputs and no execution counts, and name our kernel", async () => {
    const root = join(packageRoot, "notebooks");
    const names = await readdir(root, { recursive: true }).catch(() => [] as string[]);
    for (const name of names.filter(
      (name) => name.endsWith(".ipynb") && !name.includes(".ipynb_checkpoints"),
    )) {
      const path = join(root, name);
      const { cells, metadata } = JSON.parse(await readFile(path, "utf8")) as Notebook;
      assert.equal(metadata.kernelspec?.name, "slimlab", name);
      for (const [i, cell] of cells.entries()) {
        if (cell.cell_type !== "code") continue;
        assert.deepEqual(
          cell.outputs,
          [],
          `${name}, cell ${i + 1} has outputs: clear them before committing`,
        );
        assert.equal(cell.execution_count, null, `${name}, cell ${i + 1} has an execution count`);
      }
    }
  });
});
