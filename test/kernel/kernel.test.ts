// The kernel over its real sockets, by the client that the runner uses.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import * as zmq from "zeromq";
import type { ExecuteResult, KernelClient, Output } from "../../lib/kernel/client.ts";
import { address } from "../../lib/kernel/node/connection.ts";
import { encode, header } from "../../lib/kernel/node/wire.ts";
import { findChapters, readNotebook } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { startKernel } from "./held.ts";
import { nextMessage, sendAndWait, start, until } from "./waiting.ts";

function text(result: ExecuteResult): unknown {
  const output = result.outputs.find((one) => one.output_type === "execute_result");
  return output?.data["text/plain"];
}

function stdout(result: ExecuteResult): string {
  return result.outputs
    .map((one) => (one.output_type === "stream" && one.name === "stdout" ? one.text : ""))
    .join("");
}

function errorOf(result: ExecuteResult): Extract<Output, { output_type: "error" }> {
  const error = result.outputs.find((one) => one.output_type === "error");
  assert.ok(error, `an error was expected, got ${JSON.stringify(result.outputs)}`);
  return error as Extract<Output, { output_type: "error" }>;
}

function plain(lines: string[]): string {
  return stripVTControlCharacters(lines.join("\n"));
}

describe("kernel: a session over the sockets", () => {
  let kernel: KernelClient;
  let folder: string;
  const run = (code: string, options = {}) => kernel.execute(code, options);
  let signs = 0;
  /** Code that calls a function when the test says so, from a timer of the cell's own, and the test's word for it. */
  function when(call: string): { code: string; now: () => Promise<void> } {
    const file = join(folder, `sign-${++signs}`);
    const code = `{ const { existsSync } = await import("node:fs"); const look = setInterval(() => {
  if (!existsSync(${JSON.stringify(file)})) return;
  clearInterval(look);
  (${call})();
}, 2); }`;
    return { code, now: () => writeFile(file, "") };
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-notebook-"));
    await writeFile(join(folder, "data.json"), '{"answer": 42}');
    await writeFile(join(folder, "common.cjs"), "module.exports = { twice: (x) => 2 * x };");
    await writeFile(join(folder, "module.mjs"), "export const here = import.meta.url; export default 'esm';");
    await writeFile(
      join(folder, "project.ts"),
      "interface Pair { a: number; b: number }\nexport function add(pair: Pair): number {\n  return pair.a + pair.b;\n}\n" +
        "export function fail(): never {\n  throw new RangeError('from the project');\n}\n",
    );
    await mkdir(join(folder, "node_modules", "left"), { recursive: true });
    await writeFile(
      join(folder, "node_modules", "left", "package.json"),
      '{"name":"left","type":"module","exports":"./index.js"}',
    );
    await writeFile(join(folder, "node_modules", "left", "index.js"), "export const side = 'left';");
    kernel = await startKernel({ cwd: folder, env: { SLIMLAB_HISTORY: join(folder, "history.jsonl") } });
  });
  after(async () => {
    await kernel?.shutdown();
    await rm(folder, { recursive: true, force: true });
  });

  describe("kernel_info", () => {
    it("names the kernel, the language and the protocol", () => {
      const { info } = kernel;
      assert.equal(info.status, "ok");
      assert.equal(info.protocol_version, "5.4");
      assert.equal(info.implementation, "slimlab");
      assert.equal(info.language_info.name, "typescript");
      assert.equal(info.language_info.file_extension, ".ts");
      assert.match(info.banner, /slimlab/);
      const packages = createRequire(import.meta.url);
      assert.equal(info.implementation_version, packages("slimlab/package.json").version);
      assert.equal(info.language_info.version, packages("typescript/package.json").version);
    });
    it("finds its own words in every chapter, so that opening one changes nothing (npm run editions)", async () => {
      const wanted = Object.entries(kernel.info.language_info).sort();
      for (const { path } of await findChapters(join(packageRoot, "notebooks"))) {
        const { language_info } = (await readNotebook(path)).metadata;
        assert.deepEqual(Object.entries(language_info ?? {}).sort(), wanted, path);
      }
    });
    it("answers on control as well", async () => {
      const reply = await kernel.request("control", "kernel_info_request");
      assert.equal(reply.header.msg_type, "kernel_info_reply");
    });
  });

  describe("execute", () => {
    it("publishes status, input, streams and the result, in order, each with the request as its parent", async () => {
      const seen: string[] = [];
      const parents = new Set<string | undefined>();
      const result = await run("console.log('out'); console.error('err'); 6 * 7", {
        onMessage: (message: { header: { msg_type: string }; parent_header: { msg_id?: string } }) => {
          seen.push(message.header.msg_type);
          parents.add(message.parent_header.msg_id);
        },
      });
      assert.deepEqual(seen, ["status", "execute_input", "stream", "stream", "execute_result", "status"]);
      assert.equal(parents.size, 1);
      assert.equal(result.status, "ok");
      assert.equal(text(result), "42");
      assert.deepEqual(result.outputs.slice(0, 2), [
        { output_type: "stream", name: "stdout", text: "out\n" },
        { output_type: "stream", name: "stderr", text: "err\n" },
      ]);
      assert.deepEqual(result.content.payload, []);
      assert.deepEqual(result.content.user_expressions, {});
    });
    it("counts", async () => {
      const first = await run("1");
      const second = await run("2");
      assert.equal(second.executionCount, first.executionCount! + 1);
      const silent = await run("3", { silent: true });
      assert.deepEqual(silent.outputs, []);
      assert.equal(silent.executionCount, second.executionCount);
      assert.equal((await run("4", { storeHistory: false })).executionCount, second.executionCount);
      assert.equal((await run("5")).executionCount, second.executionCount! + 1);
    });
    it("shows no result for a statement, for undefined, and for an empty cell", async () => {
      for (const code of ["const nothing = 1", "undefined", "", "  \n", "// a comment"]) {
        assert.deepEqual((await run(code)).outputs, [], code);
      }
    });
    it("keeps names, and lets them be declared again as something else", async () => {
      await run("let kept = 1; const fixed = 'a'; class Shape { sides = 3 }; function f() { return 1 }");
      await run("kept += 1");
      assert.equal(text(await run("kept")), "2");
      await run("const kept = 'now text'; let fixed = [1]; class Shape { sides = 4 }; const f = () => 2;");
      assert.equal(text(await run("[kept, fixed, new Shape().sides, f()]")), "[ 'now text', [ 1 ], 4, 2 ]");
    });
    it("awaits at the top level, and a result that is a promise", async () => {
      assert.equal(
        text(await run("const late = await new Promise<number>((r) => setTimeout(r, 10, 7)); late")),
        "7",
      );
      assert.equal(text(await run("Promise.resolve([1, 2])")), "[ 1, 2 ]");
    });
    it("runs types, enums, generics and interfaces across cells", async () => {
      await run(
        "interface Point { x: number; y: number }\nenum Colour { Red, Green }\ntype Pair<T> = [T, T]",
      );
      const result = await run(
        "const p: Point = { x: 1, y: 2 }; const pair: Pair<Colour> = [Colour.Red, Colour.Green]; p.x + ' ' + pair",
      );
      assert.equal(text(result), "'1 0,1'");
    });
    it("evaluates user_expressions", async () => {
      const { content } = await run("const side = 3", {
        userExpressions: { area: "side * side", bad: "nowhere.x" },
      });
      assert.deepEqual(content.user_expressions.area, {
        status: "ok",
        data: { "text/plain": "9" },
        metadata: {},
      });
      assert.equal(content.user_expressions.bad.status, "error");
      assert.equal(content.user_expressions.bad.ename, "ReferenceError");
    });
    it("keeps the parent of output that comes after its cell has ended", async () => {
      const late = nextMessage(
        kernel,
        ({ header, content }) => header.msg_type === "stream" && content.text === "late\n",
      );
      let own: string | undefined;
      const print = when("() => console.log('late')");
      await run(print.code, {
        onMessage: (message: { parent_header: { msg_id?: string } }) => {
          own = message.parent_header.msg_id;
        },
      });
      await run("'another cell'");
      await print.now();
      assert.equal((await late).parent_header.msg_id, own);
    });
  });

  describe("errors", () => {
    it("stops a cell with a type error before it runs, and points at the place", async () => {
      const result = await run("console.log('never');\nconst wrong: number = 'text';");
      assert.equal(result.status, "error");
      assert.equal(stdout(result), "");
      const error = errorOf(result);
      assert.equal(error.ename, "TypeScriptError");
      assert.match(error.evalue, /Type 'string' is not assignable to type 'number'/);
      const shown = plain(error.traceback);
      assert.match(shown, /Cell \[\d+\], line 2, column 7/);
      assert.match(shown, /> 2 \| const wrong: number = 'text';\n +\| {7}\^\^\^\^\^/);
      assert.equal(result.content.ename, "TypeScriptError");
    });
    it("stops a cell with a syntax error, and points at the place", async () => {
      const error = errorOf(await run("let a = 1;\nlet b = = 2;"));
      assert.equal(error.ename, "SyntaxError");
      assert.match(plain(error.traceback), /line 2, column 9/);
    });
    it("names cell, line and column of an error in TypeScript's own terms, without the kernel's frames", async () => {
      const result = await run(
        "interface Long {\n  a: string;\n}\nfunction inner(x: any): Long {\n  return x.b.c;\n}\ninner({});",
      );
      const error = errorOf(result);
      assert.equal(error.ename, "TypeError");
      const shown = plain(error.traceback);
      assert.match(shown, new RegExp(`Cell \\[${result.executionCount}\\], line 5, column 14`));
      assert.match(shown, /> 5 \| {3}return x\.b\.c;/);
      assert.match(shown, /at inner \(Cell \[\d+\]:5:14\)\n\s+at Cell \[\d+\]:7:1$/);
      assert.doesNotMatch(shown, /node:|kernel\/main/);
      assert.ok(!`${error.evalue}${error.ename}`.includes("\u001b"));
    });
    it("names the line of the project's own .ts file", async () => {
      const error = errorOf(await run("import { fail } from './project.ts';\nfail();"));
      assert.equal(error.ename, "RangeError");
      const shown = plain(error.traceback);
      assert.match(shown, /project\.ts:6:9/);
      assert.match(shown, /Cell \[\d+\], line 2, column 1/);
    });
    it("shows an error's own properties, and what to write instead of a name from elsewhere", async () => {
      const error = errorOf(await run("await fs.promises.readFile('/no/such/file')"));
      assert.match(plain(error.traceback), /code: 'ENOENT'[\s\S]*path: '\/no\/such\/file'/);
      const browser = errorOf(await run("// @ts-nocheck\nlocalStorage.getItem('a')"));
      if (browser.ename === "ReferenceError")
        assert.match(plain(browser.traceback), /runs in Node and not in the browser/);
      const python = errorOf(await run("// @ts-nocheck\nsorted([2, 1])"));
      assert.match(plain(python.traceback), /Python's sorted is here: xs\.toSorted/);
      const lacking = errorOf(await run("require('@nobody/has-this/part')"));
      assert.match(plain(lacking.traceback), /"npm install @nobody\/has-this" does it/);
    });
    it("shows nothing of the compiler in a stack", async () => {
      const code = `// @ts-nocheck
const same = (value) => value;
@same class Decorated { m() { throw new Error("in m"); } }
try { new Decorated().m(); } catch (error) { console.log(error.stack); }
{ using r = { [Symbol.dispose]() { throw new Error("in dispose"); } } }`;
      const result = await run(code);
      const stack = result.outputs.map((one) => (one.output_type === "stream" ? one.text : "")).join("");
      assert.match(
        stack,
        /^Error: in m\n {4}at (?:Decorated\.)?m \(Cell \[\d+\]:3:37\)\n {4}at Cell \[\d+\]:4:23\n$/,
      );
      const frames = plain(errorOf(result).traceback).match(/^ +at .*$/gm);
      assert.equal(frames?.length, 2, frames?.join("\n"));
      assert.match(frames[1], /^ +at Cell \[\d+\]:5:\d+$/);
    });
    it("keeps the calls that wait in a stack", async () => {
      await run("async function load() { await null; throw new Error('bad data') }");
      await run("async function train() { await load() }");
      const { traceback } = errorOf(await run("await train()"));
      assert.match(plain(traceback), /at load[\s\S]*at async train[\s\S]*Cell \[\d+\]:1:1/);
    });
    it("shows causes", async () => {
      const error = errorOf(await run("throw new Error('outer', { cause: new TypeError('inner') })"));
      assert.match(plain(error.traceback), /outer[\s\S]*caused by:\nTypeError: inner/);
    });
    it("takes thrown values that are no errors", async () => {
      for (const [code, evalue] of [
        ["throw 42", "42"],
        ["throw 'text'", "'text'"],
        ["throw null", "null"],
        ["throw undefined", "undefined"],
        ["throw { a: 1 }", "{ a: 1 }"],
      ]) {
        const error = errorOf(await run(code));
        assert.deepEqual([error.ename, error.evalue], ["Uncaught", evalue]);
      }
      assert.equal(errorOf(await run("class Mine extends Error {}; throw new Mine('x')")).ename, "Mine");
    });
    it("survives errors that fight back", async () => {
      const code =
        "throw new Proxy({}, { get() { throw new Error('no'); }, getPrototypeOf() { throw new Error('no'); } })";
      assert.equal((await run(code)).status, "error");
      assert.equal(
        (await run("throw { get stack() { throw 1 }, get message() { throw 2 } }")).status,
        "error",
      );
      assert.equal(text(await run("1 + 1")), "2");
    });
    it("lets process.exit, an unhandled rejection and an uncaught error end the cell, not the kernel", async () => {
      for (const [code, ename] of [
        ["process.exit(3)", "SystemExit"],
        ["try { process.exit(3) } catch {}; 'caught'", "SystemExit"],
        ["Promise.reject(new TypeError('nobody')); 1", "TypeError"],
        ["setTimeout(() => { throw new RangeError('timer') }, 5); await new Promise(() => {})", "RangeError"],
        ["setTimeout(() => process.exit(1), 5); await new Promise(() => {})", "SystemExit"],
        ["process.nextTick(() => { throw new EvalError('tick') }); 1", "EvalError"],
      ]) {
        const result = await run(code);
        assert.equal(errorOf(result).ename, ename, code);
        assert.equal(text(await run("'alive'")), "'alive'");
      }
    });
    it("shows an error that comes after its cell has ended below that cell", async () => {
      const shown = nextMessage(
        kernel,
        ({ header, content }) => header.msg_type === "stream" && content.name === "stderr",
      );
      const fail = when("() => { throw new Error('too late') }");
      assert.equal((await run(`${fail.code} 1`)).status, "ok");
      await fail.now();
      assert.match(plain([(await shown).content.text]), /after Cell \[\d+\] had ended:\nError: too late/);
      assert.equal(text(await run("2")), "2");
    });
    it("aborts the requests that wait behind an error, then goes on", async () => {
      const fail = when("() => fail(new Error('first'))");
      const all = Promise.all([
        run(`await new Promise((_, fail) => {\n${fail.code.replace("await import", "require")}\n})`),
        run("1"),
        run("2"),
      ]);
      // Shell is read in order: whoever answers this has the three.
      await kernel.request("shell", "is_complete_request", { code: "1" });
      await fail.now();
      const results = await all;
      assert.deepEqual(
        results.map(({ status }) => status),
        ["error", "aborted", "aborted"],
      );
      assert.equal((await run("3")).status, "ok");
      const going = await Promise.all([run("throw new Error('x')", { stopOnError: false }), run("4")]);
      assert.deepEqual(
        going.map(({ status }) => status),
        ["error", "ok"],
      );
    });
  });

  describe("imports", () => {
    it("imports Node's modules, packages, JSON, CommonJS, ES modules and the project's TypeScript", async () => {
      const result = await run(
        [
          "import { basename } from 'node:path';",
          "import { side } from 'left';",
          "import data from './data.json';",
          "import { twice } from './common.cjs';",
          "import kind from './module.mjs';",
          "import { add } from './project';",
          "[basename('/a/b'), side, data.answer, twice(4), kind, add({ a: 1, b: 2 })]",
        ].join("\n"),
        {},
      );
      assert.equal(text(result), "[ 'b', 'left', 42, 8, 'esm', 3 ]", JSON.stringify(result.outputs));
    });
    it("takes the default export of one's own files for what it is, whatever package.json says of modules", async () => {
      await writeFile(
        join(folder, "def.ts"),
        "export default class Def { v = 1 }\nexport let n = 2;\nexport const more = () => n++;\n",
      );
      await writeFile(join(folder, "fun.js"), "export default function fun() { return 'fun' }\n");
      await writeFile(
        join(folder, "three.tsx"),
        "import Def from './def'; export default new Def().v + 2;\n",
      );
      await writeFile(
        join(folder, "front.mts"),
        "import Def from './def.ts';\nexport { default as Again, n as made } from './def.ts';\nexport default Def;\n",
      );
      const code = [
        "import front, { Again, made } from './front.mts';",
        "import Def, { n } from './def';",
        "import fun from './fun.js';",
        "import three from './three';",
        "import * as all from './def.ts';",
        "const { default: again } = await import('./def.ts');",
        "all.more();",
        "[new front().v, new Again().v, typeof made, new Def().v, n, fun(), three, all.default === Def, again === Def, all.n, Object.keys(all).join()]",
      ].join("\n");
      for (const type of ["", ', "type": "commonjs"', ', "type": "module"']) {
        await writeFile(join(folder, "package.json"), `{ "name": "own"${type} }`);
        const keys = type.includes('"module"')
          ? "default,more,n"
          : "(?:default|more|n),(?:default|more|n),(?:default|more|n)";
        const result = await run(`reload();\n${code}`);
        assert.match(
          String(text(result)),
          new RegExp(
            `^\\[\\s*1,\\s*1,\\s*'number',\\s*1,\\s*3,\\s*'fun',\\s*3,\\s*true,\\s*true,\\s*3,\\s*'${keys}'\\s*\\]$`,
          ),
          JSON.stringify(result.outputs),
        );
      }
      await rm(join(folder, "package.json"));
    });
    it("finds all names of a CommonJS package also after the project's TypeScript", async () => {
      // tsx's hooks know who asks them by Node's own functions in a stack.
      const code = `import { add } from "./project.ts";
import { tf } from "slimlab/nn";
typeof add + typeof tf.LayersModel`;
      assert.equal(text(await run(code)), "'functionfunction'");
    });
    it("leaves Node's globals to packages when a cell takes their names", async () => {
      await run("const URL = 4; const performance = 'good'; class Headers {}");
      // fetch is a module of Node's, and needs all three.
      assert.equal(text(await run("await (await fetch('data:,fetched')).text()")), "'fetched'");
      const result = await run("URL.toFixed(1) + performance", { userExpressions: { url: "URL + 1" } });
      assert.equal(text(result), "'4.0good'");
      assert.equal(result.content.user_expressions.url.data["text/plain"], "5");
      assert.match(String(text(await run("new Headers()"))), /^Headers\W*\{\}$/);
    });
    it("imports when called, and requires", async () => {
      assert.equal(text(await run("(await import('./module.mjs')).default")), "'esm'");
      assert.equal(text(await run("(require('./common.cjs') as any).twice(21)")), "42");
      // Packages look there for the program that they are part of, which a notebook is not.
      assert.equal(text(await run("require.main")), undefined);
      assert.equal(text(await run("String(process.mainModule)")), "'undefined'");
      assert.match(String(text(await run("import.meta.dirname"))), /slimlab-notebook-/);
    });
    it("reads the project's modules anew after reload(), and their own imports", async () => {
      const write = (n: number) =>
        writeFile(join(folder, "inner.ts"), `export const inner: number = ${n};\n`);
      await writeFile(
        join(folder, "outer.ts"),
        "import { inner } from './inner';\nexport const outer = inner + 1;\n",
      );
      await write(10);
      const outer = async () => text(await run("import { outer } from './outer.ts'; outer"));
      assert.equal(await outer(), "11");
      await write(20);
      assert.equal(await outer(), "11");
      await run("reload()");
      assert.equal(await outer(), "21");
      await writeFile(join(folder, "common.cjs"), "module.exports = { twice: (x) => 200 * x };");
      await run("reload()");
      assert.equal(text(await run("import { twice as again } from './common.cjs'; again(1)")), "200");
    });
    it("has Node's modules without an import, until a cell takes their names", async () => {
      assert.equal(
        text(await run("path.basename('/a/b') + typeof fs.readFileSync + os.EOL.length")),
        "'bfunction1'",
      );
      assert.equal(text(await run("const path = [1, 2]; path.length")), "2");
      assert.equal(text(await run("typeof (await import('node:path')).join")), "'function'");
    });
    it("says what is missing", async () => {
      const error = errorOf(await run("// @ts-nocheck\nimport nowhere from './nowhere.ts'"));
      assert.match(error.evalue, /cannot find "\.\/nowhere\.ts"/);
      const other = errorOf(await run("// @ts-nocheck\nimport nothing from 'no-such-package'"));
      assert.match(other.evalue, /npm install no-such-package/);
    });
  });

  describe("display", () => {
    it("shows what an object says of itself", async () => {
      const { outputs } = await run(
        "display({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>bold</b>', 'text/plain': 'bold' }) }); " +
          "({ async [Symbol.for('Jupyter.display')]() { return { 'text/markdown': '*late*' } } })",
      );
      assert.deepEqual(
        outputs.map((one) => "data" in one && one.data),
        [{ "text/html": "<b>bold</b>", "text/plain": "bold" }, { "text/markdown": "*late*" }],
      );
    });
    it("updates what was shown, by handle and by name", async () => {
      const first = await run("const shown = display('one'); display('two', { display_id: 'named' });");
      await run("shown.update('three'); display('four', { display_id: 'named', update: true })");
      assert.deepEqual(
        first.outputs.map((one) => "data" in one && one.data["text/plain"]),
        ["'three'", "'four'"],
      );
    });
    it("clears, at once or when the next output comes", async () => {
      const { outputs } = await run("console.log('a'); display.clear({ wait: true }); console.log('b')");
      assert.deepEqual(outputs, [{ output_type: "stream", name: "stdout", text: "b\n" }]);
    });
    it("gives tslab's notebooks their API", async () => {
      const { outputs, status } = await run(
        [
          "import * as tslab from 'tslab';",
          "tslab.display.html('<i>html</i>');",
          "tslab.display.png(Buffer.from('89504e470d0a1a0a', 'hex'));",
          "const entry = tslab.newDisplay(); entry.text('old'); entry.text('new');",
        ].join("\n"),
      );
      assert.equal(status, "ok", JSON.stringify(outputs));
      assert.deepEqual(
        outputs.map((one) => "data" in one && one.data),
        [{ "text/html": "<i>html</i>" }, { "image/png": "iVBORw0KGgo=" }, { "text/plain": "new" }],
      );
    });
  });

  describe("interrupt", function () {
    this.timeout(300_000); // One of them loads slimlab/nn with its types.
    /** Runs a cell and interrupts it when it prints "going". */
    async function interruptible(code: string): Promise<ExecuteResult> {
      const { running } = await start(kernel, code);
      await kernel.interrupt();
      return running;
    }
    for (const [what, code] of [
      ["an endless loop", "going(); while (true) {}"],
      ["a loop of microtasks", "going(); while (true) await null"],
      [
        "a chain of ticks",
        "going(); await new Promise(() => { const again = () => process.nextTick(again); again(); })",
      ],
      [
        "a chain of ticks after a wait",
        "await new Promise((r) => setTimeout(r, 5)); going(); await new Promise(() => { const again = () => process.nextTick(again); again(); })",
      ],
      [
        "a chain of microtasks",
        "going(); await new Promise(() => { const again = () => queueMicrotask(again); again(); })",
      ],
      ["a loop of waits that nobody waits for", "going(); (async () => { for (;;) await 0; })()"],
      [
        "a child process that a cell waits for",
        "going(); (require('child_process') as any).execSync('sleep 60')",
      ],
      ["a promise that never settles", "going(); await new Promise(() => {})"],
      ["a loop after a wait", "await new Promise((r) => setTimeout(r, 5)); going(); for (;;) {}"],
      [
        "a loop that is hardly ever in a line of its own",
        "const all = Array.from({ length: 2e4 }, () => ({})); const { inspect } = require('util') as any; await new Promise((r) => setTimeout(r, 5)); going(); for (;;) inspect(all, { maxArrayLength: Infinity })",
      ],
      ["a regular expression that backtracks", "going(); /^(a+)+$/.test('a'.repeat(40) + 'b')"],
      ["a result that never shows", "({ [Symbol.for('Jupyter.display')]: () => { going(); for (;;) {} } })"],
    ]) {
      it(`stops ${what}, and keeps the state`, async () => {
        await run("let state = 'kept'; var going = () => console.log('going')");
        assert.equal(errorOf(await interruptible(code)).ename, "KeyboardInterrupt");
        assert.equal(text(await run("await new Promise((r) => setTimeout(r, 5)); state")), "'kept'");
      });
    }
    it("shows what is printed before a loop that lets no timer run, after however much", async () => {
      const flood = "for (let i = 0; i < 20000; i++) console.log(i);";
      await run(flood);
      for (const code of ["console.log('last'); for (;;);", `${flood} console.log('last'); for (;;);`]) {
        let printed = "";
        let running: ReturnType<typeof kernel.execute> | undefined;
        const seen = new Promise<void>((resolve) => {
          running = kernel.execute(code, {
            onMessage({ header, content }) {
              if (header.msg_type === "stream") printed += content.text;
              if (/^last$/m.test(printed)) resolve();
            },
          });
        });
        await Promise.race([seen, running]);
        await kernel.interrupt();
        assert.equal(errorOf(await running!).ename, "KeyboardInterrupt");
      }
    });
    for (const [what, code] of [
      ["at the cell's top level", "for (;;) { await sleep(2); step(); }"],
      ["that catches errors", "for (;;) { try { await sleep(2); } catch {} step(); }"],
      ["in a function", "async function go() { for (;;) step(await sleep(2)); }\nawait go();"],
      [
        "over an asynchronous iterable",
        `async function* ticks() { for (let i = 0; ; i++) { await sleep(2); yield i; } }
for await (const i of ticks()) step(i);`,
      ],
      [
        "in slimlab's own training",
        `import { lenet300, train } from "slimlab/nn";
const [height, width, channels, count] = [28, 28, 1, 4096];
const digits = { images: new Uint8Array(count * 784), labels: new Uint8Array(count), height, width, channels, count };
await train(lenet300(), digits, { epochs: 1000, onBatch: step });`,
      ],
    ]) {
      it(`stops a loop of waits ${what}: nothing of it goes on`, async () => {
        await run(`var n = 0;
var step = (_?: unknown) => { if (++n === 3) console.log("going"); };
var sleep = (ms: number) => new Promise((r) => setTimeout(r, ms));`);
        const running = await interruptible(code);
        const { ename, traceback } = errorOf(running);
        assert.equal(ename, "KeyboardInterrupt", plain(traceback));
        // The kernel's own timers have 50 turns: a loop that still waited for them would have gone on.
        const turns = "for (let turn = 0; turn < 50; turn++) await sleep(2); n";
        const before = text(await run(turns));
        assert.equal(text(await run(turns)), before);
      });
    }
    it("leaves TensorFlow.js able to train, wherever in a training it cuts", async () => {
      await run(`import { tf, useBackend } from "slimlab/nn";
await useBackend();
const weights = tf.variable(tf.ones([8, 8]));
const optimizer = tf.train.sgd(0.001);
const loss = () => tf.tidy(() => weights.matMul(weights).square().mean().asScalar());
const learn = () => void optimizer.minimize(loss);
learn();`);
      for (const wait of ["", "await new Promise((r) => setTimeout(r, 1));"]) {
        const code = `${wait} learn(); console.log("going"); for (;;) learn();`;
        assert.equal(errorOf(await interruptible(code)).ename, "KeyboardInterrupt");
        const { kernelDepth, gradientDepth, scopeStack } = JSON.parse(
          String(text(await run("learn(); JSON.stringify(tf.engine().state)"))).slice(1, -1),
        );
        assert.deepEqual([kernelDepth, gradientDepth, scopeStack], [0, 0, []]);
      }
    });
    it("ends what TensorFlow.js trains by itself, waited for or not, and the model trains again", async () => {
      await run(`import { tf, useBackend } from "slimlab/nn";
await useBackend();
const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [8] })] });
model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
const xs = tf.ones([64, 8]), ys = tf.zeros([64, 1]);
var batches = 0, epochs = 1e9;
var fit = () => model.fit(xs, ys, { epochs, verbose: 0, callbacks: { onBatchEnd: () => { if (++batches === 9) console.log("going"); } } });
var isTraining = () => (model as any).model.isTraining;`);
      for (const wait of ["await fit()", "fit(); await new Promise(() => {})"]) {
        assert.equal(errorOf(await interruptible(`batches = 0; ${wait}`)).ename, "KeyboardInterrupt");
        // One that went on would never end.
        const again = await run(`while (isTraining()) await new Promise((r) => setTimeout(r, 2));
epochs = 1; await fit(); epochs = 1e9; isTraining()`);
        assert.equal(text(again), "false");
      }
    });
    it("stops a cell that begins after the interrupt, behind a callback that held both up", async () => {
      const hold = when(`() => {
  const { existsSync } = require("node:fs");
  console.log("held");
  while (!existsSync("release"));
}`);
      await run(`let state = 'kept'; ${hold.code}`);
      const held = nextMessage(
        kernel,
        ({ header, content }) => header.msg_type === "stream" && content.text === "held\n",
      );
      await hold.now();
      await held;
      const begun = nextMessage(kernel, ({ header }) => header.msg_type === "execute_input");
      const running = kernel.execute("for (;;) {}");
      await begun;
      // The types of the cell are checked by then, and it waits for the callback's end.
      await kernel.request("shell", "complete_request", { code: "state.", cursor_pos: 6 });
      await kernel.interrupt();
      await writeFile(join(folder, "release"), "");
      assert.equal(errorOf(await running).ename, "KeyboardInterrupt");
      assert.equal(text(await run("state")), "'kept'");
    });
    it("lets code behind a wait clean up, and says nothing of it later", async () => {
      await run("var log: string[] = []; var done: Promise<unknown>;");
      // It says that it is going when the wait has begun: before, there is nothing to clean up.
      const running = interruptible(`done = new Promise((r) => setTimeout(r, 500));
setTimeout(() => console.log("going"));
try { await done; log.push("went on"); }
finally { log.push("cleaned up"); }
log.push("and on");`);
      assert.equal(errorOf(await running).ename, "KeyboardInterrupt");
      const after = await run("await done; await null; log.join()");
      assert.equal(text(after), "'cleaned up'");
      assert.deepEqual(
        after.outputs.map((each) => each.output_type),
        ["execute_result"],
      );
    });
    it("does not wait for a loop that a callback of the interrupted cell begins later", async () => {
      const code = `var state = 'kept';
const watcher = fs.watch(".", (event, name) => {
  if (name !== "begin") return;
  watcher.close();
  console.log("looping");
  for (;;);
});
console.log("going"); await new Promise(() => {})`;
      assert.equal(errorOf(await interruptible(code)).ename, "KeyboardInterrupt");
      const looping = nextMessage(
        kernel,
        ({ header, content }) => header.msg_type === "stream" && content.text === "looping\n",
      );
      await writeFile(join(folder, "begin"), "");
      await looping;
      assert.equal(text(await run("state")), "'kept'");
    });
    it("ends chains of timers and intervals with their cell", async () => {
      await run("var calls = 0;");
      for (const code of [
        "const again = () => { calls++; setImmediate(again); }; again();",
        "const again = () => { calls++; setTimeout(again); }; again();",
        "setInterval(() => calls++, 1);",
      ]) {
        const started = "setTimeout(() => console.log('going'), 2); await new Promise(() => {})";
        assert.equal(errorOf(await interruptible(`{ ${code} ${started} }`)).ename, "KeyboardInterrupt");
        // What was due is called once more; a chain would have been called a hundred times.
        await run("await new Promise((r) => setTimeout(r, 50)); calls = 0;");
        assert.equal(text(await run("await new Promise((r) => setTimeout(r, 100)); calls")), "0", code);
      }
      assert.equal(
        text(
          await run("[await (require('util') as any).promisify(setTimeout)(1, 'value'), setTimeout.name]"),
        ),
        "[ 'value', 'setTimeout' ]",
      );
    });
    it("stops a loop and a wait by SIGINT", async () => {
      // Node itself can lose a signal that comes just as a cell's first part ends: a wait has to have begun.
      for (const code of [
        'console.log("going"); while (true) {}',
        'setTimeout(() => console.log("going")); await new Promise(() => {})',
      ]) {
        const { running } = await start(kernel, code);
        process.kill(kernel.pid!, "SIGINT");
        assert.equal(errorOf(await running).ename, "KeyboardInterrupt");
        assert.equal(text(await run("1")), "1");
      }
    });
    it("does nothing to an idle kernel", async () => {
      await kernel.interrupt();
      process.kill(kernel.pid!, "SIGINT");
      assert.equal(text(await run("1")), "1");
    });
    it("keeps timers going", async () => {
      await run("let ticks = 0; const clock = setInterval(() => { ticks++ }, 5)");
      await interruptible("await new Promise((r) => setTimeout(r, 5)); console.log('going'); for (;;) {}");
      const before = Number(text(await run("ticks")));
      // A busy machine may give the timer no turn for a while; one that is lost gets none for ever.
      const end = Date.now() + 10_000;
      while (Number(text(await run("ticks"))) <= before) assert.ok(Date.now() < end, "the timer stopped");
      await run("clearInterval(clock)");
    });
  });

  describe("while a cell is busy", () => {
    it("answers heartbeat, control, completion, inspection and is_complete, and shows output", async () => {
      await run("const weights = [1, 2, 3]");
      const { running } = await start(kernel, "console.log('going'); for (;;) {}");
      await kernel.heartbeat();
      assert.equal((await kernel.request("control", "kernel_info_request")).content.status, "ok");
      const { content } = await kernel.request("shell", "complete_request", {
        code: "weights.ma",
        cursor_pos: 10,
      });
      assert.ok(content.matches.includes("map"), JSON.stringify(content));
      const inspected = await kernel.request("shell", "inspect_request", {
        code: "weights",
        cursor_pos: 3,
        detail_level: 0,
      });
      assert.match(inspected.content.data["text/plain"], /number\[\]/);
      const complete = await kernel.request("shell", "is_complete_request", { code: "function f() {" });
      assert.equal(complete.content.status, "incomplete");
      await kernel.interrupt();
      assert.equal((await running).status, "error");
    });
  });

  describe("output", () => {
    it("delivers 100,000 lines in order, none lost", async () => {
      const result = await run("for (let i = 0; i < 100_000; i++) console.log(i)");
      const lines = stdout(result).split("\n");
      assert.equal(lines.length, 100_001);
      assert.ok(lines.slice(0, -1).every((line, i) => line === String(i)));
    });
    it("keeps results as _ and Out", async () => {
      await run("6 * 7");
      assert.equal(text(await run("_ + 1")), "43");
      const result = await run("[1, 2]");
      assert.equal(text(await run(`Out[${result.content.execution_count}].length`)), "2");
      await run("Object.freeze(Out)");
      const later = await run("[3, 4, 5]");
      assert.equal(text(await run(`Out[${later.content.execution_count}].length`)), "3");
      assert.equal(text(await run("let _ = 'mine'; 5")), "5");
      assert.equal(text(await run("_")), "'mine'");
    });
    it("keeps the order of streams, displays and results", async () => {
      const seen: string[] = [];
      await run(
        "console.log('a'); display('b'); console.error('c'); display('d'); process.stdout.write('e'); 'f'",
        {
          onMessage: ({
            header,
            content,
          }: {
            header: { msg_type: string };
            content: { text?: string; data?: Record<string, string> };
          }) => {
            if (header.msg_type !== "status" && header.msg_type !== "execute_input") {
              seen.push((content.text ?? content.data?.["text/plain"] ?? "").trim());
            }
          },
        },
      );
      assert.deepEqual(seen, ["a", "'b'", "c", "'d'", "e", "'f'"]);
    });
    it("joins a character whose bytes come in two writes", async () => {
      const result = await run(
        "const bytes = Buffer.from('€'); process.stdout.write(bytes.subarray(0, 1)); process.stdout.write(bytes.subarray(1)); undefined",
      );
      assert.equal(stdout(result), "€");
    });
  });

  describe("runtime", () => {
    it("runs worker threads, and shows what they print", async () => {
      const result = await run(
        "import { Worker } from 'node:worker_threads'; const thread = new Worker(`console.log('from a thread')`, { eval: true }); " +
          "await new Promise((r) => thread.on('exit', r)); await new Promise((r) => setTimeout(r, 20)); undefined",
      );
      assert.equal(stdout(result), "from a thread\n");
    });
    it("loads native addons", async () => {
      const path = new URL("../../../node_modules/zeromq/lib/index.js", import.meta.url).pathname;
      assert.match(String(text(await run(`(require('${path}') as any).version`))), /^'4\./);
    });
    it("slows down a cell that prints without end, and loses nothing", async () => {
      // What a cell may write at once, and in each second after that: streams.ts.
      const [burst, rate] = [32 << 20, 8 << 20];
      let total = 0;
      let enough = () => {};
      const plenty = new Promise<void>((resolve) => {
        enough = resolve;
      });
      const started = performance.now();
      const running = run("let line = 0; for (;;) console.log(line++, 'x'.repeat(100))", {
        onMessage: ({ header, content }: { header: { msg_type: string }; content: { text: string } }) => {
          if (header.msg_type === "stream") total += content.text.length;
          if (total > burst + rate / 2) enough();
        },
      });
      await plenty;
      const allowed = burst + rate * ((performance.now() - started) / 1000) + 1e6;
      assert.ok(total < allowed, `${total} characters where ${allowed} are allowed`);
      await kernel.interrupt();
      const lines = stdout(await running).split("\n");
      assert.ok(lines.slice(0, -2).every((line, i) => line.startsWith(`${i} x`)));
    });
    it("answers connect_request, old as it is", async () => {
      const { content } = await kernel.request("shell", "connect_request");
      assert.equal(content.hb_port, kernel.connection.hb_port);
    });
  });

  describe("input", () => {
    it("asks by prompt(), by input(), and for a password", async () => {
      const asked: unknown[] = [];
      const result = await run("[prompt('name?'), input('age? '), input('secret? ', { password: true })]", {
        onInput: (question: string, password: boolean) => {
          asked.push([question.trim(), password]);
          return `answer ${asked.length}`;
        },
      });
      assert.deepEqual(asked, [
        ["name?", false],
        ["age?", false],
        ["secret?", true],
      ]);
      assert.equal(text(result), "[ 'answer 1', 'answer 2', 'answer 3' ]");
    });
    it("answers null, or an error, where nobody may be asked", async () => {
      assert.equal(text(await run("prompt('name?')")), "null");
      assert.match(errorOf(await run("input('name?')")).evalue, /allows no input/);
    });
    it("can be interrupted while it waits", async () => {
      let asked = () => {};
      const question = new Promise<void>((resolve) => {
        asked = resolve;
      });
      const waiting = run("prompt('for ever?')", {
        onInput: () => {
          asked();
          return new Promise<string>(() => {});
        },
      });
      await question;
      await kernel.interrupt();
      assert.equal(errorOf(await waiting).ename, "KeyboardInterrupt");
      assert.equal(text(await run("prompt('again?')", { onInput: () => "yes" })), "'yes'");
    });
  });

  describe("completion and inspection", () => {
    it("completes with types, counting code points", async () => {
      await run("const typed = { alpha: 1, beta: 'b' }");
      const code = "'😀'; typed.al";
      const { content } = await kernel.request("shell", "complete_request", {
        code,
        cursor_pos: [...code].length,
      });
      assert.deepEqual(content.matches, ["alpha"]);
      assert.equal(code.slice(content.cursor_start + 1, content.cursor_end + 1), "al");
      const [match] = content.metadata._jupyter_types_experimental;
      assert.equal(match.text, "alpha");
      assert.equal(match.start, content.cursor_start);
    });
    it("completes members that exist only at run time, while a cell runs too, and changes nothing", async () => {
      await run(`const parsed = JSON.parse('{"alpha": {"beta": [1], "bay leaf": 2, "gamma": "g"}}');
let touched = 0;
const lazy: any = { get once() { touched++; return { inner: 1 }; }, big: new Float32Array(1e6) };
const counts: Record<string, number> = { seven: 7 };
(globalThis as any).lateName = 1;`);
      const complete = async (code: string) => {
        const { content } = await kernel.request("shell", "complete_request", {
          code,
          cursor_pos: code.length,
        });
        assert.equal(content.status, "ok");
        return content;
      };
      const { running } = await start(kernel, "console.log('going'); for (;;) {}");
      const found = await complete("parsed.alpha.b");
      assert.deepEqual(found.matches, ["beta"]);
      assert.deepEqual(found.metadata._jupyter_types_experimental, [
        { start: 13, end: 14, text: "beta", type: "property" },
      ]);
      assert.deepEqual([found.cursor_start, found.cursor_end], [13, 14]);
      await kernel.interrupt();
      await running;
      assert.deepEqual((await complete("parsed?.alpha['beta'].fla")).matches, ["flat", "flatMap"]);
      assert.deepEqual((await complete("1 + parsed.alpha.gamma.toUpp")).matches, ["toUpperCase"]);
      assert.ok((await complete("lazy.big.")).matches.includes("subarray"));
      assert.deepEqual((await complete("counts.")).matches, ["seven"]);
      assert.deepEqual((await complete("lateNa")).matches, ["lateName"]);
      // A getter that does something is not called, nor is a function.
      assert.deepEqual((await complete("lazy.once.")).matches, []);
      assert.deepEqual((await complete("String(touched++).nothing.")).matches, []);
      assert.equal(text(await run("touched")), "0");
    });
    it("inspects, and says so where there is nothing", async () => {
      const found = await kernel.request("shell", "inspect_request", {
        code: "parseInt('1')",
        cursor_pos: 4,
      });
      assert.equal(found.content.found, true);
      assert.match(found.content.data["text/plain"], /parseInt\(string: string/);
      assert.ok(found.content.data["text/markdown"]);
      const nothing = await kernel.request("shell", "inspect_request", { code: "   ", cursor_pos: 1 });
      assert.deepEqual(
        [nothing.content.status, nothing.content.found, nothing.content.data],
        ["ok", false, {}],
      );
    });
    it("tells complete from incomplete from invalid", async () => {
      const ask = async (code: string) =>
        (await kernel.request("shell", "is_complete_request", { code })).content;
      assert.equal((await ask("const a = 1")).status, "complete");
      const open = await ask("for (const x of xs) {");
      assert.equal(open.status, "incomplete");
      assert.equal(typeof open.indent, "string");
      assert.equal((await ask("const const")).status, "invalid");
    });
  });

  describe("history", () => {
    it("answers tail, range and search", async () => {
      const marker = `'history ${Math.random()}'`;
      const { executionCount } = await run(marker);
      const ask = async (content: object) =>
        (await kernel.request("shell", "history_request", { output: false, raw: true, ...content })).content
          .history;
      assert.deepEqual((await ask({ hist_access_type: "tail", n: 1 }))[0].slice(1), [executionCount, marker]);
      assert.deepEqual(
        (
          await ask({
            hist_access_type: "range",
            session: 0,
            start: executionCount,
            stop: executionCount! + 1,
          })
        )[0][2],
        marker,
      );
      assert.equal(
        (await ask({ hist_access_type: "search", pattern: `*${marker.slice(3, 20)}*`, n: 5 })).length,
        1,
      );
      assert.deepEqual((await ask({ hist_access_type: "tail", n: 1, output: true }))[0][2], [marker, null]);
    });
  });

  describe("comms", () => {
    it("go both ways, with buffers, and are listed", async () => {
      await run(
        "const c = comms.open('my.target', { a: 1 }); c.onMessage = (m) => { c.send({ got: m.data, size: m.buffers[0].length }, { buffers: [new Uint8Array([9])] }); console.log('from the callback') }",
      );
      const { content } = await kernel.request("shell", "comm_info_request", { target_name: "my.target" });
      const [id] = Object.keys(content.comms);
      assert.deepEqual(content.comms, { [id]: { target_name: "my.target" } });
      const seen = (
        await sendAndWait(kernel, "comm_msg", { comm_id: id, data: { x: 5 } }, [Buffer.from("abc")])
      ).filter(({ header }) => header.msg_type !== "status");
      assert.deepEqual(seen[0].content, { comm_id: id, data: { got: { x: 5 }, size: 3 } });
      assert.deepEqual([...seen[0].buffers[0]], [9]);
      assert.equal(seen[1].content.text, "from the callback\n");
      await sendAndWait(kernel, "comm_close", { comm_id: id, data: {} });
      assert.deepEqual((await kernel.request("shell", "comm_info_request")).content.comms, {});
    });
    it("are opened by the front end for a target that the cell has named, and closed for others", async () => {
      await run("comms.register('from.front', (c, m) => { c.send({ hello: m.data }) })");
      const next = async (type: string) =>
        (await nextMessage(kernel, ({ header }) => header.msg_type === type)).content;
      const greeting = next("comm_msg");
      kernel.send("shell", "comm_open", { comm_id: "one", target_name: "from.front", data: { a: 1 } });
      assert.deepEqual(await greeting, { comm_id: "one", data: { hello: { a: 1 } } });
      const closed = next("comm_close");
      kernel.send("shell", "comm_open", { comm_id: "two", target_name: "unheard.of", data: {} });
      assert.equal((await closed).comm_id, "two");
    });
  });

  describe("subshells", () => {
    it("run while a cell of the main shell waits", async () => {
      const { content } = await kernel.request("control", "create_subshell_request");
      const { running } = await start(
        kernel,
        "await new Promise<void>((r) => { (globalThis as any).go = r; console.log('going') })",
      );
      const reply = await kernel.request(
        "shell",
        "execute_request",
        { code: "(globalThis as any).go()" },
        { subshell: content.subshell_id },
      );
      assert.equal(reply.content.status, "ok");
      assert.equal((await running).status, "ok");
      assert.deepEqual((await kernel.request("control", "list_subshell_request")).content.subshell_id, [
        content.subshell_id,
      ]);
      assert.equal(
        (await kernel.request("control", "delete_subshell_request", { subshell_id: content.subshell_id }))
          .content.status,
        "ok",
      );
      assert.equal(
        (await kernel.request("control", "delete_subshell_request", { subshell_id: "no" })).content.status,
        "error",
      );
    });
  });

  describe("messages that must not be believed", () => {
    it("drops a wrong signature, no signature and a replay, logs them, and stays alive", async () => {
      await run("let executions = 0");
      const socket = new zmq.Dealer({ linger: 0 });
      socket.connect(address(kernel.connection, "shell"));
      const request = (key: string, type = "execute_request") =>
        encode(
          {
            identities: [],
            header: header(type, "intruder"),
            parent_header: {},
            metadata: {},
            content: { code: "executions++", silent: true },
            buffers: [],
          },
          { key, signature_scheme: "hmac-sha256" },
        );
      await socket.send(request("another key"));
      await socket.send(request(""));
      const good = request(kernel.connection.key);
      await socket.send(good);
      await socket.send(good);
      await socket.send(["nonsense"]);
      // Shell is read in order: the answers to the two good ones come when all before them were read.
      await socket.send(request(kernel.connection.key, "kernel_info_request"));
      await socket.receive();
      await socket.receive();
      socket.close();
      assert.equal(text(await run("executions")), "1");
      for (const words of [/dropped a message on shell: wrong signature/, /no signature/, /came before/]) {
        await until(`the kernel's log has ${words}`, () => words.test(kernel.stderr));
      }
    });
  });
});

describe("kernel: its life", () => {
  it("welcomes a subscriber, shuts down cleanly, and says so on control and iopub", async () => {
    const kernel = await startKernel({ env: { SLIMLAB_HISTORY: "off" } });
    const seen: string[] = [];
    kernel.onMessage((message) => seen.push(message.header.msg_type));
    const reply = await kernel.request("control", "shutdown_request", { restart: true });
    assert.deepEqual(reply.content, { status: "ok", restart: true });
    assert.deepEqual(await kernel.exited, { code: 0, signal: null });
    assert.ok(seen.includes("shutdown_reply"));
    await kernel.shutdown();
  });
  it("shuts down while a cell is in an endless loop", async () => {
    const kernel = await startKernel({ env: { SLIMLAB_HISTORY: "off" } });
    const { running } = await start(kernel, "console.log('going'); for (;;) {}");
    const died = assert.rejects(running, { name: "KernelDiedError" });
    await kernel.shutdown();
    await died;
  });
  it("rejects what waits when the kernel dies, with its last words", async () => {
    const kernel = await startKernel({ env: { SLIMLAB_HISTORY: "off" } });
    await assert.rejects(kernel.execute("process.kill(process.pid, 'SIGKILL')"), /was ended by SIGKILL/);
    await assert.rejects(kernel.execute("1"), /was ended by SIGKILL/);
    await kernel.shutdown();
  });
  it("says why it cannot start", async () => {
    await assert.rejects(startKernel({ args: ["--check=maybe"] }), /--check must be error, warning or off/);
    await assert.rejects(startKernel({ argv: ["/no/such/program"] }), /could not be started/);
  });
  it("keeps its history over a restart", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-history-"));
    const env = { SLIMLAB_HISTORY: join(folder, "sub", "history.jsonl") };
    const first = await startKernel({ env });
    await first.execute("'from the first session'");
    await first.shutdown();
    const second = await startKernel({ env });
    await second.execute("'from the second'");
    const ask = (content: object) =>
      second.request("shell", "history_request", { output: false, raw: true, ...content });
    const { content } = await ask({ hist_access_type: "tail", n: 10 });
    assert.deepEqual(content.history, [
      [1, 1, "'from the first session'"],
      [2, 1, "'from the second'"],
    ]);
    const before = await ask({ hist_access_type: "range", session: -1 });
    assert.deepEqual(before.content.history, [[1, 1, "'from the first session'"]]);
    await second.shutdown();
    await rm(folder, { recursive: true });
  });
  it("runs JavaScript, unchecked, by the other kernelspec", async () => {
    const kernel = await startKernel({ args: ["--javascript"], env: { SLIMLAB_HISTORY: "off" } });
    assert.equal(kernel.info.language_info.name, "javascript");
    const result = await kernel.execute("const a = 1; a.nothing; a + 1");
    assert.equal(text(result), "2");
    const { content } = await kernel.request("shell", "complete_request", { code: "a.toFi", cursor_pos: 6 });
    assert.equal(content.matches[0], "toFixed");
    await kernel.shutdown();
  });
  it("runs cells with type errors, shown or not, when checking is a warning or off", async () => {
    const warning = await startKernel({ args: ["--check=warning"], env: { SLIMLAB_HISTORY: "off" } });
    const shown = await warning.execute("const n: number = 'text'; n");
    assert.equal(text(shown), "'text'");
    assert.match(JSON.stringify(shown.outputs), /not assignable/);
    await warning.shutdown();
    const off = await startKernel({ args: ["--check=off"], env: { SLIMLAB_HISTORY: "off" } });
    const quiet = await off.execute("const n: number = 'text'; n");
    assert.equal(text(quiet), "'text'");
    assert.equal(quiet.outputs.length, 1);
    await off.shutdown();
  });
});
