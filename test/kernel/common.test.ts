// CommonJS packages in cells: the module is the one that Node makes, with no name of an export left out.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { types } from "node:util";
import { isCommon, moduleOf } from "../../lib/kernel/run/common.ts";
import { startKernel } from "./held.ts";

const require = createRequire(import.meta.url);

describe("kernel: CommonJS packages in cells", () => {
  let folder: string;

  async function write(files: Record<string, string>): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      const file = join(folder, "node_modules", name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
    }
  }

  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "slimlab-common-")));
    await write({
      "plain/package.json": '{ "name": "plain" }',
      "plain/index.js": `module.exports = { default: 1, "a b": 2, hidden: 3 };
module.exports.self = module.exports;`,
      "plain/part.js": "exports.part = true;",
      "made/package.json": '{ "name": "made", "type": "commonjs", "main": "make" }',
      "made/make.js": "module.exports = function make() {}; module.exports.extra = 5;",
      "nothing/package.json": '{ "name": "nothing" }',
      "nothing/index.js": "module.exports = null;",
      "lazy/package.json": '{ "name": "lazy" }',
      "lazy/index.js": `globalThis.lazyParts = 0;
const part = () => ++globalThis.lazyParts;
exports.eager = 1;
Object.defineProperty(exports, "part", { enumerable: true, get() { return part(); } });`,
      "modern/package.json": '{ "name": "modern" }',
      "modern/index.js": "const here = import.meta.url;\nexport { here };\nexport default 7;\n",
      "exporting/package.json":
        '{ "name": "exporting", "exports": { "import": "./i.mjs", "require": "./r.js" } }',
      "exporting/i.mjs": "export default 'imported'",
      "exporting/r.js": "module.exports = 'required'",
      "both/package.json": '{ "name": "both", "type": "module", "main": "index.js" }',
      "both/index.js": "export const both = 1",
    });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("gives what Node gives of a package, and the names that Node does not find", async () => {
    const more: string[] = [];
    for (const name of [
      "@tensorflow/tfjs",
      "@tensorflow/tfjs-core",
      "semver",
      "papaparse",
      "debug",
      "seedrandom",
    ]) {
      const file = require.resolve(name);
      assert.ok(isCommon(name, file), name);
      const exports = require(file);
      const source = moduleOf(exports, file);
      assert.ok(source !== undefined, name);
      const ours = await import(`data:text/javascript,${encodeURIComponent(source)}`);
      const nodes = await import(name);
      assert.ok(types.isModuleNamespaceObject(ours));
      assert.equal(ours.default, exports);
      for (const key of Object.keys(nodes).filter((key) => key === "default" || key in exports)) {
        assert.ok(Object.hasOwn(ours, key), `${name}: ${key}`);
        assert.equal(ours[key], nodes[key], `${name}: ${key}`);
      }
      more.push(...Object.keys(ours).filter((key) => !(key in nodes)));
    }
    assert.ok(more.includes("humanize") && more.includes("alea"), more.join());
  });

  it("leaves to Node what is, or may be, something else than what require finds", () => {
    const own = createRequire(join(folder, "notebook.js"));
    const common = (specifier: string) => isCommon(specifier, own.resolve(specifier));
    assert.ok(common("plain") && common("plain/part.js") && common("made"));
    assert.ok(!common("plain/part"), "an import does not add an ending");
    assert.ok(!common("modern"), "an ES module that nothing calls one");
    assert.ok(!common("exporting"), "another file for import");
    assert.ok(!common("both"));
    assert.ok(!common("./node_modules/plain/index.js"));
    assert.equal(moduleOf(own("lazy"), "lazy"), undefined);
  });

  it("imports them in cells, lazy parts unread", async () => {
    const kernel = await startKernel({ cwd: folder, args: ["--check=off"] });
    try {
      const run = async (code: string) => {
        const [output] = (await kernel.execute(code)).outputs;
        return output && "data" in output ? output.data["text/plain"] : JSON.stringify(output);
      };
      const cells: [code: string, shown: string][] = [
        [
          "import plain, { hidden, 'a b' as spaced } from 'plain'; import * as all from 'plain'; [hidden, spaced, all.self === plain, all.default === plain, plain.default]",
          "[ 3, 2, true, true, 1 ]",
        ],
        ["(await import('plain')) === all", "true"],
        ["import { part } from 'plain/part.js'; part", "true"],
        ["(await import('plain/part')).part", "fails"],
        ["import make, { extra } from 'made'; [typeof make, make.name, extra]", "[ 'function', 'make', 5 ]"],
        ["import nothing from 'nothing'; nothing", "null"],
        [
          "import { eager } from 'lazy'; import * as lazy from 'lazy'; [eager, lazyParts, lazy.part, lazyParts]",
          "[ 1, 0, 1, 1 ]",
        ],
        ["import seven, { here } from 'modern'; [seven, here.slice(-15)]", "[ 7, 'modern/index.js' ]"],
        ["import which from 'exporting'; which", "'imported'"],
        ["import { both } from 'both'; both", "1"],
      ];
      for (const [code, shown] of cells) {
        const result = await run(code);
        if (shown === "fails") assert.match(result as string, /cannot find|Cannot find/, code);
        else assert.equal(result, shown, code);
      }
    } finally {
      await kernel.shutdown();
    }
  });
});
