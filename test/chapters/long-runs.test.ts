// The long experiments' results that ship: each is what the chapter's cell measures, and none is left over.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cellHash } from "../../datasets/long-runs/cell.ts";
import { type LongRun, longRun, longRunFolder } from "../../lib/datasets/index.ts";
import { findChapters, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";

describe("the long experiments", () => {
  it("each has the result of the cell that stands in the chapter, and no result is left over", async () => {
    const found = new Set<string>();
    for (const { path, language } of await findChapters(join(packageRoot, "notebooks"))) {
      for (const cell of (await readNotebook(path)).cells) {
        const source = textOf(cell.source);
        const names = [...source.matchAll(/\blongRun\("([^"]+)"/g)].map((match) => match[1]);
        if (cell.cell_type !== "code" || names.length === 0) continue;
        const hash = await cellHash(source);
        for (const name of names) {
          const record: LongRun = JSON.parse(await readFile(join(longRunFolder, `${name}.json`), "utf8"));
          assert.equal(
            record.cell,
            hash,
            `${language} ${path}, cell ${cell.id}: changed since datasets/long-runs/make.ts ran it`,
          );
          assert.ok(record.seconds > 0);
          if (language === "en") assert.ok(!found.has(name), `${name} is measured twice`);
          found.add(name);
        }
      }
    }
    assert.ok(found.size > 0);
    const files = (await readdir(longRunFolder)).filter((name) => name.endsWith(".json"));
    assert.deepEqual(files.sort(), [...found].map((name) => `${name}.json`).sort());
  });

  it("are tied to what a cell does, and not to its layout", async () => {
    const hash = await cellHash("const a: number = f({ b: 1 }); // so much\n");
    assert.equal(await cellHash("const a = f({\n  b: 1,\n});\n"), hash);
    assert.notEqual(await cellHash("const a: number = f({ b: 2 });"), hash);
    const run = 'const few = 3;\nconst a = await longRun("a", async () => g(few));\n';
    assert.equal(await cellHash(`${run}show(a);`), await cellHash(`${run}draw(a); a;`));
    assert.notEqual(await cellHash(run), await cellHash(run.replace("3", "4")));
    assert.notEqual(await cellHash(run), await cellHash(run.replace("g(few)", "h(few)")));
  });

  it("are run anew with SLIMLAB_FULL=1, and kept where SLIMLAB_LONG_RUNS says", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-long-"));
    const { SLIMLAB_FULL, SLIMLAB_LONG_RUNS } = process.env;
    try {
      await assert.rejects(
        longRun("no-such-run", async () => 1),
        /no-such-run\.json is missing or damaged: with SLIMLAB_FULL=1/,
      );
      process.env.SLIMLAB_FULL = "1";
      process.env.SLIMLAB_LONG_RUNS = folder;
      assert.deepEqual(await longRun("t-1", async () => ({ a: [1, 2], b: undefined })), { a: [1, 2] });
      const { name, result }: LongRun = JSON.parse(await readFile(join(folder, "t-1.json"), "utf8"));
      assert.deepEqual([name, result], ["t-1", { a: [1, 2] }]);
      await assert.rejects(
        longRun("../x", async () => 1),
        /name must be small letters/,
      );
    } finally {
      for (const [name, value] of Object.entries({ SLIMLAB_FULL, SLIMLAB_LONG_RUNS })) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      await rm(folder, { recursive: true });
    }
  });
});
