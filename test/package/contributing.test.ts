// The map for those who change slimlab: what it names is there, and its commands do what it says.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { packageRoot } from "../../lib/util/files.ts";

const text = () => readFile(join(packageRoot, ".github/CONTRIBUTING.md"), "utf8");
const scripts = async (): Promise<Record<string, string>> =>
  JSON.parse(await readFile(join(packageRoot, "package.json"), "utf8")).scripts;

describe("CONTRIBUTING.md", () => {
  it("names files and folders that are there", async () => {
    const inCode = [...(await text()).matchAll(/`([^`\n]+)`/g)].map((match) => match[1]);
    const paths = inCode.filter(
      (one) =>
        /^\.?[\w-]+(\/[\w.-]+)+$/.test(one) && /^(lib|test|notebooks|datasets|\.github|\.ci)\//.test(one),
    );
    assert.ok(paths.length > 60, `only ${paths.length} paths were found in the map`);
    const absent = paths.filter(
      (path) => !path.includes("ROOM") && !path.includes("SECTION") && !existsSync(join(packageRoot, path)),
    );
    assert.deepEqual(absent, []);
  });

  it("names every room, and each has its tests", async () => {
    const map = await text();
    const rooms = readdirSync(join(packageRoot, "lib"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    assert.deepEqual(
      rooms.filter((room) => !new RegExp(`\\b${room}\\b`).test(map)),
      [],
    );
    // A command's tests lie beside what it calls.
    assert.deepEqual(
      rooms.filter((room) => room !== "commands" && !existsSync(join(packageRoot, "test", room))),
      [],
    );
  });

  it("has the rooms on floors that no import climbs", async () => {
    const picture = /```\n(commands\n[^`]*)```/.exec(await text())![1];
    const floors = new Map<string, number>();
    for (const [i, rooms] of picture.trim().split("\n").reverse().entries())
      for (const room of rooms.split(/ +/)) floors.set(room, i);
    const climbing: string[] = [];
    let arrows = 0;
    for (const file of readdirSync(join(packageRoot, "lib"), { recursive: true, encoding: "utf8" })) {
      const [room, inside] = file.split(/[\\/]/);
      if (!inside || !file.endsWith(".ts")) continue;
      assert.ok(floors.has(room), `${room} is on no floor`);
      const source = await readFile(join(packageRoot, "lib", file), "utf8");
      for (const [, path] of source.matchAll(/(?:from|import\() *"(\.[^"]+|#platform)"/g)) {
        const other = path === "#platform" ? "platform" : join(dirname(file), path).split(/[\\/]/)[0];
        if (other === room) continue;
        arrows++;
        if (!(floors.get(other)! < floors.get(room)!)) climbing.push(`${file} imports ${path}`);
      }
    }
    assert.ok(arrows > 100, `only ${arrows} imports between rooms were found`);
    assert.deepEqual(climbing, []);
  });

  it("has no files that import each other in a circle, types included", async () => {
    const lib = join(packageRoot, "lib");
    const imports = new Map<string, string[]>();
    for (const file of readdirSync(lib, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue;
      const source = await readFile(join(lib, file), "utf8");
      const paths = [...source.matchAll(/(?:^} |^(?:im|ex)port .*|import\( *)(?:from )?"(\.[^"]+)"/gm)];
      imports.set(
        file,
        paths.map(([, path]) => join(dirname(file), path)),
      );
    }
    // What imports nothing that is left, or is imported by nothing that is left, is in no circle.
    const left = new Set(imports.keys());
    for (let before = -1; before !== left.size; ) {
      before = left.size;
      const wanted = new Set([...left].flatMap((file) => imports.get(file)!));
      for (const file of left)
        if (!wanted.has(file) || !imports.get(file)!.some((path) => left.has(path))) left.delete(file);
    }
    const arrows = [...imports.values()].reduce((sum, paths) => sum + paths.length, 0);
    assert.ok(arrows > 2000, `only ${arrows} imports were found`);
    assert.deepEqual([...left], []);
  });

  it("names npm's scripts as they are called", async () => {
    const known = Object.keys(await scripts());
    const named = [...(await text()).matchAll(/npm run (?:-s )?([\w:]+)/g)].map((match) => match[1]);
    assert.ok(named.length > 3, `only ${named} are named`);
    assert.deepEqual(
      named.filter((name) => !known.includes(name)),
      [],
    );
  });
});

describe("npm's scripts", () => {
  it("start programs that have a source", async () => {
    const programs = Object.values(await scripts()).flatMap(
      (script) => script.match(/dist\/[\w./-]+\.js/g) ?? [],
    );
    assert.ok(programs.length > 5, `only ${programs} were found`);
    assert.deepEqual(
      programs.filter((path) => !existsSync(join(packageRoot, path.replace(/^dist\/(.*)\.js$/, "$1.ts")))),
      [],
    );
  });

  it("test:one runs the file whose name has these words, whichever way they are written, and says where there is none", async () => {
    const one = (...words: string[]) =>
      promisify(execFile)(process.execPath, ["dist/test/one.js", ...words], { cwd: packageRoot });
    for (const words of ["util/check", "test/util/check.test.ts", "dist/test/util/check.test.js"]) {
      assert.match((await one(words)).stdout, /3 passing/, words);
    }
    assert.match((await one("util/check", "--grep", "finite")).stdout, /1 passing/);
    await assert.rejects(one("no-such-test"), { code: 2, stderr: /No file below test\/ has "no-such-test"/ });
    await assert.rejects(one(), { code: 2, stderr: /Which test\?/ });
  });
});
