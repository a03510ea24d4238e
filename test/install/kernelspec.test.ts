import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import { run } from "../../lib/commands/kernel.ts";
import { iconPng } from "../../lib/install/icon.ts";
import { kernelspec } from "../../lib/install/kernelspec.ts";
import { jupyterDataFolder } from "../../lib/util/folders.ts";

describe("kernel/command: the kernelspecs", () => {
  let folder: string;
  const log = console.log;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-spec-"));
    console.log = () => {};
  });
  afterEach(async () => {
    console.log = log;
    await rm(folder, { recursive: true });
  });

  it("installs and uninstalls in a prefix without Jupyter", async () => {
    assert.equal(await run(["install", "--prefix", folder]), 0);
    const kernels = join(folder, "share", "jupyter", "kernels");
    assert.deepEqual((await readdir(kernels)).sort(), ["slimlab", "slimlab-javascript"]);
    const spec = JSON.parse(await readFile(join(kernels, "slimlab", "kernel.json"), "utf8"));
    assert.equal(spec.display_name, "TypeScript (slimlab)");
    assert.equal(spec.language, "typescript");
    assert.equal(spec.interrupt_mode, "message");
    assert.ok(existsSync(spec.argv[0]) && existsSync(spec.argv[1]));
    assert.ok(spec.argv.includes("{connection_file}"));
    for (const icon of ["logo-svg.svg", "logo-32x32.png", "logo-64x64.png"]) {
      assert.ok(existsSync(join(kernels, "slimlab", icon)), icon);
    }
    assert.equal(await run(["uninstall", "--prefix", folder]), 0);
    assert.ok(!existsSync(kernels));
  });

  it("installs for the user in JUPYTER_DATA_DIR, under another name, with checking off", async () => {
    const before = process.env.JUPYTER_DATA_DIR;
    process.env.JUPYTER_DATA_DIR = folder;
    try {
      await run(["install", "--user", "--name", "mine", "--check", "off", "--no-javascript"]);
      assert.deepEqual(await readdir(join(folder, "kernels")), ["mine"]);
      const spec = JSON.parse(await readFile(join(folder, "kernels", "mine", "kernel.json"), "utf8"));
      assert.ok(spec.argv.includes("--check=off"));
    } finally {
      if (before === undefined) delete process.env.JUPYTER_DATA_DIR;
      else process.env.JUPYTER_DATA_DIR = before;
    }
  });

  it("leaves another kernel's folder alone", async () => {
    const other = join(folder, "share", "jupyter", "kernels", "slimlab");
    await mkdir(other, { recursive: true });
    await writeFile(join(other, "kernel.json"), JSON.stringify({ argv: ["python3", "-m", "ipykernel"] }));
    await assert.rejects(run(["uninstall", "--prefix", folder]), /not a slimlab kernel/);
    assert.ok(existsSync(join(other, "kernel.json")));
  });

  it("refuses what makes no sense", async () => {
    await assert.rejects(run(["install", "--user", "--prefix", folder]), /exclude each other/);
    await assert.rejects(run(["install", "--prefix", folder, "--name", "../x"]), /--name must be/);
    await assert.rejects(run(["install", "--prefix", folder, "--check", "maybe"]), /error, warning or off/);
  });

  it("finds Jupyter's folder on each platform", () => {
    assert.equal(jupyterDataFolder({ HOME: "/h" }, "linux"), "/h/.local/share/jupyter");
    assert.equal(jupyterDataFolder({ HOME: "/h", XDG_DATA_HOME: "/x" }, "linux"), "/x/jupyter");
    assert.equal(jupyterDataFolder({ HOME: "/h" }, "darwin"), "/h/Library/Jupyter");
    assert.match(jupyterDataFolder({ APPDATA: "C:\\a" }, "win32"), /jupyter$/);
    assert.equal(jupyterDataFolder({ JUPYTER_DATA_DIR: "/d" }, "darwin"), "/d");
  });

  it("says that the JavaScript kernel is of the language javascript", () => {
    const spec = kernelspec({ javascript: true });
    assert.equal(spec.language, "javascript");
    assert.ok(spec.argv.includes("--javascript"));
  });

  it("draws an icon that is a PNG: right size, blue in the middle of its left edge, round corners", () => {
    const png = iconPng(32);
    assert.equal(png.readUInt32BE(16), 32);
    const start = png.indexOf("IDAT") + 4;
    const pixels = inflateSync(png.subarray(start, start + png.readUInt32BE(start - 8)));
    const at = (x: number, y: number) => [...pixels.subarray(y * 129 + 1 + x * 4, y * 129 + 5 + x * 4)];
    assert.deepEqual(at(1, 16), [49, 120, 198, 255]);
    assert.deepEqual(at(0, 0)[3], 0);
  });
});
