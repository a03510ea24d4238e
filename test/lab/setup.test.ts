import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "../../lib/commands/lab.ts";
import { labRequirements } from "../../lib/install/lab.ts";
import { installLabextension, uninstallLabextension } from "../../lib/install/labextension/index.ts";
import { findPython, makeVenv, venvIsReady, venvProgram } from "../../lib/install/venv.ts";
import { missing, needLab } from "./tools.ts";

describe("the Lab's Python environment", () => {
  let folder: string;
  let empty: string;
  const { SLIMLAB_PYTHON } = process.env;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-venv-"));
    // pip installs from an empty file without the network.
    empty = join(folder, "requirements.txt");
    await writeFile(empty, "# nothing\n");
  });
  afterEach(async () => {
    if (SLIMLAB_PYTHON === undefined) delete process.env.SLIMLAB_PYTHON;
    else process.env.SLIMLAB_PYTHON = SLIMLAB_PYTHON;
    await rm(folder, { recursive: true, force: true });
  });

  it("asks for no version that a Python has not which it is asked of", async function () {
    const python = venvProgram(await needLab(this), "python");
    const script = `import sys
from importlib.metadata import PackageNotFoundError, metadata
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.specifiers import SpecifierSet
for line in open(sys.argv[1]):
    if line.startswith("#") or not line.strip():
        continue
    wanted = Requirement(line)
    try:
        needs = SpecifierSet(metadata(wanted.name).get("Requires-Python") or "")
    except PackageNotFoundError:
        continue
    for version in ["3.10.0", "3.11.0", "3.11.2", "3.12.0", "3.13.0", "3.14.0"]:
        place = {"python_version": version.rsplit(".", 1)[0], "python_full_version": version}
        if (wanted.marker is None or wanted.marker.evaluate(place)) and version not in needs:
            print(f"{wanted} needs Python {needs}, and is asked of {version}")
`;
    const constraints = join(dirname(labRequirements), "constraints.txt");
    const { status, stdout, stderr } = spawnSync(python, ["-c", script, constraints], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, "");
  });

  it("is made, kept while it is complete, updated with its requirements, mended when half-made", async function () {
    this.timeout(300_000);
    let python = "";
    try {
      python = findPython();
    } catch (error) {
      missing(this, String(error));
    }
    assert.ok(python);
    const venv = join(folder, "venv");
    // What an interrupted run leaves behind: the mark and some files, and no stamp.
    await mkdir(join(venv, "bin"), { recursive: true });
    await writeFile(join(venv, "slimlab-venv"), "");
    await symlink("/nowhere/python3", join(venv, "bin", "python"));
    assert.equal(await venvIsReady(venv, [empty]), false);
    await makeVenv(venv, [empty]);
    assert.equal(await venvIsReady(venv, [empty]), true);

    const kept = join(venv, "kept");
    await writeFile(kept, "");
    await makeVenv(venv, [empty]);
    await writeFile(empty, "# other\n");
    assert.equal(await venvIsReady(venv, [empty]), false, "other requirements make it out of date");
    await makeVenv(venv, [empty]);
    assert.equal(await venvIsReady(venv, [empty]), true);
    await readFile(kept);

    // The system's Python was upgraded away.
    await rm(venvProgram(venv, "python"));
    assert.equal(await venvIsReady(venv, [empty]), false);
    await makeVenv(venv, [empty]);
    assert.equal(await venvIsReady(venv, [empty]), true);
    await assert.rejects(readFile(kept), "made anew");
  });

  it("leaves a folder alone that it did not make", async () => {
    const venv = join(folder, "mine");
    await mkdir(venv);
    await writeFile(join(venv, "precious"), "");
    await assert.rejects(makeVenv(venv, [empty]), /made by something else.*SLIMLAB_VENV/);
    assert.deepEqual(await readdir(venv), ["precious"]);
  });

  it("says what is wrong with a Python that will not do", async () => {
    process.env.SLIMLAB_PYTHON = join(folder, "nothing");
    assert.throws(() => findPython(), /nothing is not there.*python\.org.*SLIMLAB_PYTHON/);
    const fake = async (says: string) => {
      const path = join(folder, "python");
      await writeFile(path, `#!/bin/sh\n${says}\n`);
      await chmod(path, 0o755);
      process.env.SLIMLAB_PYTHON = path;
    };
    await fake("printf '3.8 0\\n1\\n'");
    assert.throws(() => findPython(), /is Python 3\.8, and JupyterLab needs 3\.10/);
    await fake("printf '3.11 1\\n0\\n'");
    assert.throws(() => findPython(), /lacks the venv module.*python3-venv/);
    await fake("exit 3");
    assert.throws(() => findPython(), /does not run/);
  });

  it("refuses a port that is none", async () => {
    await assert.rejects(run(["--port", "70000"]), /port must be a whole number from 1 to 65535, got 70000/);
  });
});

describe("the Lab's chart viewer", () => {
  it("installs itself whole, replaces an older copy, and goes without a trace", async () => {
    const data = await mkdtemp(join(tmpdir(), "slimlab-data-"));
    try {
      const folder = await installLabextension(data);
      await writeFile(join(folder, "static", "stale.js"), "");
      assert.equal(await installLabextension(data), folder);
      assert.deepEqual(await readdir(join(data, "labextensions")), ["slimlab"]);
      const { jupyterlab } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
      const files = await readdir(join(folder, "static"));
      assert.equal(files.length, 2);
      assert.match(files[0], /^plotly\.[0-9a-f]{16}\.js$/);
      assert.equal(jupyterlab._build.load, `static/${files[1]}`);
      const remote = await readFile(join(folder, jupyterlab._build.load), "utf8");
      assert.ok(remote.includes(files[0]), "the remote names Plotly's file");
      assert.equal(await uninstallLabextension(data), true);
      assert.equal(await uninstallLabextension(data), false);
      assert.deepEqual(await readdir(join(data, "labextensions")), []);
    } finally {
      await rm(data, { recursive: true });
    }
  });
});
