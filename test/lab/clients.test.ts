import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { venvProgram } from "../../lib/install/venv.ts";
import { type Notebook, textOf } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { jupyterEnvironment, needLab, notebook } from "./tools.ts";

const cells = [
  'import { histogram } from "slimlab/plots";\nconst bits: number = 8;\nconsole.log("levels", 2 ** bits);',
  "const levels = await Promise.resolve(2 ** bits);\nlevels",
  'histogram([1, 2, 2, 3], { title: "Seen by a client" })',
];

interface Output {
  output_type: string;
  text?: string[];
  name?: string;
  ename?: string;
  data?: Record<string, unknown>;
}

describe("the kernel with other clients", function () {
  this.timeout(300_000);
  let venv: string;
  let folder: string | undefined;

  before(async function () {
    venv = await needLab(
      this,
      "nbclient",
      "nbconvert",
      "papermill",
      "jupyter_console",
      "jupyter_kernel_test",
    );
    await mkdir(join(packageRoot, ".slimlab"), { recursive: true });
    folder = await mkdtemp(join(packageRoot, ".slimlab", "clients-"));
    await writeFile(join(folder, "in.ipynb"), notebook(cells));
  });
  after(async () => {
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  async function python(args: string[], input = "", env: NodeJS.ProcessEnv = {}) {
    const child = spawn(venvProgram(venv, "python"), args, {
      cwd: folder,
      env: { ...jupyterEnvironment(join(folder!, "home")), ...env },
      stdio: "pipe",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => (stdout += data));
    child.stderr.on("data", (data) => (stderr += data));
    child.stdin.end(input);
    const code = await new Promise((done) => child.on("close", done));
    return { code, stdout, stderr };
  }

  function checkRun(run: { cells: { execution_count: number; outputs: Output[] }[] }, from = 0): void {
    const ran = run.cells.slice(from);
    assert.deepEqual(ran[0].outputs, [{ output_type: "stream", name: "stdout", text: ["levels 256\n"] }]);
    assert.deepEqual(ran[1].outputs[0].data, { "text/plain": ["256"] });
    assert.equal(ran[1].outputs[0].output_type, "execute_result");
    assert.deepEqual(Object.keys(ran[2].outputs[0].data!).sort(), [
      "application/vnd.plotly.v1+json",
      "image/svg+xml",
      "text/plain",
    ]);
  }

  const saved = async (name: string) => JSON.parse(await readFile(join(folder!, name), "utf8"));

  it("nbclient executes a notebook, and names the cell that fails", async () => {
    const { code, stderr } = await python(["-m", "jupyter", "execute", "in.ipynb", "--output=out.ipynb"]);
    assert.equal(code, 0, stderr);
    checkRun(await saved("out.ipynb"));
    await writeFile(
      join(folder!, "bad.ipynb"),
      notebook(["const n: number = 1;", 'const m: string = n; // "wrong"']),
    );
    const bad = await python(["-m", "jupyter", "execute", "bad.ipynb"]);
    assert.notEqual(bad.code, 0);
    assert.match(bad.stderr, /TypeScriptError.*Type 'number' is not assignable to type 'string'/s);
  });

  it("nbconvert executes a notebook into a web page with its chart", async () => {
    const { code, stderr } = await python(["-m", "nbconvert", "--execute", "--to", "html", "in.ipynb"]);
    assert.equal(code, 0, stderr);
    const html = await readFile(join(folder!, "in.html"), "utf8");
    assert.match(html, /levels 256/);
    const [, svg] =
      /"image\/svg\+xml"[^>]*>\s*<img[^>]*src="data:image\/svg\+xml;base64,([^"]+)"/.exec(html) ?? [];
    assert.match(Buffer.from(svg ?? "", "base64").toString(), /<svg[^>]*>.*Seen by a client/s);
  });

  it("papermill executes a notebook with parameters of its own", async () => {
    // papermill writes parameters in the languages that it knows, and TypeScript is none of them; what it writes for C#,
    // `var bits = 4;`, is TypeScript too.
    const source = JSON.parse(notebook(["const bits = 8;", 'console.log("levels", 2 ** bits);']));
    source.cells[0].metadata.tags = ["parameters"];
    await writeFile(join(folder!, "parameters.ipynb"), JSON.stringify(source));
    const { code, stderr } = await python([
      "-m",
      "papermill",
      "--no-progress-bar",
      "-l",
      ".net-csharp",
      "-p",
      "bits",
      "4",
      "parameters.ipynb",
      "filled.ipynb",
    ]);
    assert.equal(code, 0, stderr);
    const run = await saved("filled.ipynb");
    const lines = run.cells.map((cell: { outputs: Output[] }) => cell.outputs.map(({ text }) => text));
    assert.deepEqual(lines.flat(3), ["levels 16\n"]);
    const plain = await python(["-m", "papermill", "--no-progress-bar", "in.ipynb", "out2.ipynb"]);
    assert.equal(plain.code, 0, plain.stderr);
    checkRun(await saved("out2.ipynb"));
  });

  it("2.17 jupytext writes a chapter as a TypeScript file, and reads it back cell by cell", async function () {
    await needLab(this, "jupytext");
    const chapter = join(packageRoot, "notebooks", "3.1.1-weight-pruning.ipynb");
    const script = `
import jupytext, sys
jupytext.write(jupytext.read(sys.argv[1]), "chapter.ts", fmt="ts:percent")
jupytext.write(jupytext.read("chapter.ts"), "back.ipynb")
`;
    const { code, stderr } = await python(["-c", script, chapter]);
    assert.equal(code, 0, stderr);
    const [original, read] = [JSON.parse(await readFile(chapter, "utf8")), await saved("back.ipynb")];
    const cellsOf = ({ cells }: Notebook) =>
      cells.map(({ cell_type, source }) => [cell_type, textOf(source)]);
    assert.deepEqual(cellsOf(read), cellsOf(original));
    assert.deepEqual(read.metadata.kernelspec, original.metadata.kernelspec);
    // To other tools it is TypeScript: prose is in comments.
    assert.match(await readFile(join(folder!, "chapter.ts"), "utf8"), /^\/\/ %% \[markdown\]/m);
  });

  it("jupyter console answers at its prompt", async () => {
    const script = `
import pexpect, sys
console = pexpect.spawn(sys.executable, ["-m", "jupyter", "console", "--kernel=slimlab", "--simple-prompt"], encoding="utf8", timeout=60)
console.logfile_read = sys.stdout
console.expect(r"In \\[1\\]: ")
console.sendline("const six: number = 6")
console.expect(r"In \\[2\\]: ")
console.sendline("six * 7")
console.expect(r"Out\\[2\\]: *42")
console.expect(r"In \\[3\\]: ")
console.sendline("six.nothing")
console.expect("does not exist on type 'number'")
console.expect(r"In \\[[34]\\]: ")
console.sendeof()
console.expect("really want to exit")
console.sendline("y")
console.expect(pexpect.EOF)
`;
    const { code, stdout, stderr } = await python(["-c", script]);
    assert.equal(code, 0, `${stdout}\n${stderr.slice(-2000)}`);
  });

  it("passes jupyter_kernel_test, for TypeScript and for JavaScript", async () => {
    const { code, stderr } = await python([join(packageRoot, "test", "lab", "kernel_test.py")]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Ran 24 tests/);
    // The one that is left out, for each: payloads that open a pager, which the protocol has deprecated.
    assert.match(stderr, /OK \(skipped=2\)/);
  });
});
