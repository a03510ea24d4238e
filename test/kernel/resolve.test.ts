// Which file a relative import means: the same answer for what runs and for its types.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { filesOfTypes, fileToRun } from "../../lib/kernel/run/resolve.ts";

describe("kernel: which file a relative import means", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-resolve-"));
    for (const file of [
      "both.ts",
      "both.js",
      "view.tsx",
      "old.js",
      "old.d.ts",
      "part.jsx",
      "module.mts",
      "data.json",
      "lib/index.js",
      "typed/index.ts",
      "named/start.cjs",
      "dir.ts",
      "dir/index.ts",
      "a.b.ts",
    ]) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await writeFile(join(folder, file), "");
    }
    await writeFile(join(folder, "named/package.json"), '{ "main": "start.cjs" }');
  });
  after(() => rm(folder, { recursive: true }));

  // [import, what runs, whose types count]; as tsc 7 with --moduleResolution bundler --traceResolution says.
  const cases: [string, string | undefined, (string | undefined)?][] = [
    ["both", "both.ts"],
    ["both.js", "both.ts"],
    ["both.ts", "both.ts"],
    ["view", "view.tsx"],
    ["view.js", "view.tsx"],
    ["view.jsx", "view.tsx"],
    ["old", "old.js", "old.d.ts"],
    ["old.js", "old.js", "old.d.ts"],
    ["part", "part.jsx"],
    ["part.jsx", "part.jsx"],
    ["module.mjs", "module.mts"],
    ["data.json", "data.json"],
    ["lib", "lib/index.js"],
    ["typed", "typed/index.ts"],
    ["named", "named/start.cjs"],
    ["dir", "dir.ts"],
    ["a.b", "a.b.ts"],
    ["nowhere", undefined],
    [".", undefined],
  ];
  for (const [specifier, runs, types = runs] of cases) {
    it(`./${specifier} is ${runs}${types === runs ? "" : `, with the types of ${types}`}`, () => {
      const name = (file: string | undefined) => file && relative(folder, file);
      assert.equal(name(fileToRun(join(folder, specifier))), runs);
      const { found, watched } = filesOfTypes(join(folder, specifier));
      assert.equal(name(found), types);
      assert.ok(found === undefined || watched.at(-1) === found);
    });
  }
});
