// What no teacher's plan has room for: full disks, giants, notebooks that are strange within the format.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Result } from "../../lib/classroom/results.ts";
import { findSubmissions } from "../../lib/classroom/submissions.ts";
import { type Notebook, parseNotebook } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { code, markdown, notebook, save } from "../chapters/notebooks.ts";
import { type Bench, cellA, cellB, handedOut, needsSandbox, perfect, start, withBench } from "./setting.ts";

describe("strange notebooks", function () {
  this.timeout(300_000);
  let bench: Bench;
  withBench((opened) => {
    bench = opened;
  });

  /** As it would come from a file. */
  const read = (source: object): Notebook => parseNotebook(JSON.stringify(source), "w.ipynb");
  const strange: [what: string, work: () => Notebook, points: number][] = [
    ["100 MB of prose", () => read(notebook(...perfect(), markdown("x".repeat(100_000_000)))), 2],
    [
      "100 MB of stored output",
      () =>
        read(
          notebook(
            ...perfect(),
            code("1", [{ output_type: "stream", name: "stdout", text: "x".repeat(100_000_000) }]),
          ),
        ),
      2,
    ],
    [
      "20 MB of code in a cell that nobody needs",
      () => read(notebook(...perfect(), code(`// ${"x".repeat(20_000_000)}`))),
      2,
    ],
    [
      "20 MB of code in the cell of a",
      () =>
        read(
          notebook(
            code(start),
            code(`${cellA("return 2 * x;")}\n// ${"x".repeat(20_000_000)}`),
            code(cellB("[1, 0.25]")),
          ),
        ),
      1,
    ],
    [
      "tags that are no list",
      () => read({ ...notebook(...perfect().map((cell) => ({ ...cell, metadata: { tags: 5 } as never }))) }),
      2,
    ],
    [
      "a kernelspec of nothing",
      () => read({ ...notebook(...perfect()), metadata: { kernelspec: null, language_info: 5 } }),
      2,
    ],
    ["one id for all cells", () => read(notebook(...perfect().map((cell) => ({ ...cell, id: "same" })))), 2],
    [
      "outputs of no known kind",
      () =>
        read(
          notebook(
            ...perfect().map((cell) => ({ ...cell, outputs: [5, null, { output_type: "x" }] as never })),
          ),
        ),
      2,
    ],
    ["a source of numbers", () => read(notebook(...perfect(), { ...code(""), source: [1, 2] as never })), 2],
  ];
  for (const [what, work, points] of strange) {
    it(what, async () => {
      const grade = await bench.grade(work());
      assert.equal(grade.points, points, JSON.stringify(grade.exercises));
    });
  }
});

describe("places that are strange", function () {
  this.timeout(240_000);
  let folder: string;
  before(needsSandbox);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-bad-"));
    await save(join(folder, "original.ipynb"), handedOut);
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("a disk that is full ends the run with a reason; with room again the same command goes on, and no grade is lost", async function () {
    // Mounts of a space of their own: who is not root may have that, and nothing stays mounted.
    const apart = process.getuid?.() === 0 ? ["--mount"] : ["--mount", "--map-root-user"];
    const within = (script: string) =>
      spawnSync("unshare", [...apart, "sh", "-ec", script], { cwd: folder, encoding: "utf8" });
    const mount = "mkdir -p small; mount -t tmpfs -o size=256k tmpfs small";
    const tried = within(mount);
    if (tried.status !== 0) {
      const why = `no small disk can be had: ${tried.stderr ?? tried.error?.message}`;
      if (process.env.CI) throw new Error(why);
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    for (const name of ["ann", "bob", "cem"])
      await save(join(folder, "in", name, "w.ipynb"), notebook(...perfect()));
    const grade = `"${process.execPath}" "${join(packageRoot, "dist/lib/cli.js")}" grade --original original.ipynb --out small/out --jobs 1 in`;
    // Room for the first grades, and not for all that is written of them.
    const { status, stderr } = within(`${mount}
head -c ${232 * 1024} /dev/zero >small/filler
code=0; ${grade} 2>full || code=$?
[ $code = 1 ]
rm small/filler
${grade} 2>again
cp -r small/out out`);
    const said = async (name: string) => readFile(join(folder, name), "utf8").catch(() => "");
    assert.equal(status, 0, `${stderr}${await said("full")}${await said("again")}`);
    const full = await said("full");
    assert.match(full, /ENOSPC|no space left/);
    assert.match(full, /what is graded is kept, and the same command goes on/);
    const results: Result[] = JSON.parse(await said("out/grades.json"));
    assert.deepEqual(
      results.map(({ id, points }) => [id, points]),
      [
        ["ann", 2],
        ["bob", 2],
        ["cem", 2],
      ],
    );
    const left = (await readdir(join(folder, "out"), { recursive: true })).filter((name) =>
      /tmp|\.part/.test(name),
    );
    assert.deepEqual(left, [], "no half of a file stays");
  });

  it("names that are one to a file system are two students; a folder that holds itself is walked once", async () => {
    await save(join(folder, "in", "Ren\u00e9", "w.ipynb"), notebook(...perfect()));
    await save(join(folder, "in", "Rene\u0301", "w.ipynb"), notebook(...perfect()));
    await save(join(folder, "in", `${"x".repeat(200)}\u0007`, "w.ipynb"), notebook(...perfect()));
    spawnSync("ln", ["-s", "..", join(folder, "in", "loop")]);
    const found = await findSubmissions([join(folder, "in")]);
    const ids = found.map(({ id }) => id.normalize("NFC").toLowerCase());
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(found.filter(({ notebook }) => notebook).length, 3);
    assert.ok(ids.every((id) => id.length <= 90 && !id.includes("\u0007")));
  });
});
