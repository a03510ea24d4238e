// The kernel in a browser: the table of cases that the kernel of Node runs too, and what only a browser makes hard.
import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import type { ExecuteResult } from "../../lib/kernel/client.ts";
import { browserPath } from "../book/browser.ts";
import { cases, runCase } from "./cases.ts";
import { until } from "./waiting.ts";
import { WebSession } from "./web.ts";

const shown = ({ outputs }: ExecuteResult) => {
  const result = outputs.find((one) => one.output_type === "execute_result");
  return result?.data["text/plain"] ?? JSON.stringify(outputs);
};

function errorOf({ outputs }: ExecuteResult) {
  const error = outputs.find((one) => one.output_type === "error");
  assert.ok(error?.output_type === "error", `an error was expected, got ${JSON.stringify(outputs)}`);
  return { ename: error.ename, text: stripVTControlCharacters(error.traceback.join("\n")) };
}

/** Starts a page with a kernel before the tests and ends it after them; each message is held against the reference. */
function browserKernel(isolated: boolean, site?: "typed"): () => WebSession {
  let web: WebSession;
  before(async function () {
    if (!browserPath()) this.skip();
    web = await WebSession.start(isolated, site);
  });
  after(() => web?.stop());
  afterEach(async () => {
    assert.deepEqual(await web.faults(), [], "messages that are not as the reference says");
  });
  return () => web;
}

describe("kernel: cells, in a browser", function () {
  this.timeout(300_000);
  const web = browserKernel(false, "typed");
  for (const each of cases) it(each.name, () => runCase(each, (code) => web().execute(code)));
});

describe("kernel: a browser's own troubles", function () {
  this.timeout(300_000);
  const web = browserKernel(false);
  const run = (code: string, more = {}) => web().execute(code, more);

  it("tells what it is", async () => {
    const { content } = await web().ask("shell", "kernel_info_request");
    assert.equal(content.implementation_version, "1.2.3");
    assert.equal(content.language_info.name, "typescript");
    assert.equal(content.debugger, false);
    const debug = await web().ask("control", "debug_request", { type: "request", seq: 4, command: "attach" });
    assert.deepEqual([debug.content.success, debug.content.request_seq], [false, 4]);
    assert.match(debug.content.message, /developer tools/);
  });

  for (const [what, code] of [
    ["an endless loop", "going(); while (true) {}"],
    ["a loop of microtasks", "going(); while (true) await null"],
    ["a regular expression that backtracks", "going(); /^(a+)+$/.test('a'.repeat(40) + 'b')"],
    ["a result that never shows", "({ [Symbol.for('Jupyter.display')]: () => { going(); for (;;) {} } })"],
  ]) {
    it(`ends ${what} by starting anew, and says that the names are gone`, async () => {
      await run("let state = 'kept'; var going = () => console.log('going')");
      const before = await web().workers();
      const { result } = await web().interrupt(code);
      const { ename, text } = errorOf(result);
      assert.equal(ename, "KeyboardInterrupt");
      assert.match(text, /their names are gone, run those cells again/);
      assert.equal(shown(await run("typeof state")), "'undefined'");
      assert.equal(await web().workers(), before + 1);
    });
  }

  for (const [what, code] of [
    ["a promise that never settles", "going(); await new Promise(() => {})"],
    ["a loop of waits", "for (;;) { await sleep(2); step(); }"],
    ["a loop of waits that catches errors", "for (;;) { try { await sleep(2); } catch {} step(); }"],
    ["a loop of waits in a function", "async function go() { for (;;) step(await sleep(2)); }\nawait go();"],
    [
      "a wait over an asynchronous iterable",
      `async function* ticks() { for (let i = 0; ; i++) { await sleep(2); yield i; } }
for await (const i of ticks()) step(i);`,
    ],
  ]) {
    it(`cuts ${what} off without loss, and nothing of it goes on`, async () => {
      await run(`var n = 0; var state = "kept";
var going = () => console.log("going");
var step = (_?: unknown) => { if (++n === 3) going(); };
var sleep = (ms: number) => new Promise((r) => setTimeout(r, ms));`);
      const before = await web().workers();
      const { result } = await web().interrupt(code);
      assert.equal(errorOf(result).ename, "KeyboardInterrupt");
      const turns = "for (let turn = 0; turn < 50; turn++) await sleep(2); n";
      const steps = shown(await run(turns));
      assert.equal(shown(await run(turns)), steps);
      assert.equal(shown(await run("state")), "'kept'");
      assert.equal(await web().workers(), before);
    });
  }

  it("does nothing at an interrupt while nothing runs, and runs on after ten restarts", async () => {
    await web().ask("control", "interrupt_request");
    const before = await web().workers();
    const times: number[] = [];
    for (let i = 0; i < 10; i++)
      times.push((await web().interrupt("console.log('going'); for (;;) {}")).time);
    console.log(`      interrupts took ${times.map((t) => t.toFixed(0)).join(", ")} ms`);
    assert.equal(await web().workers(), before + 10);
    assert.equal(shown(await run("6 * 7")), "42");
    await until("the old workers are gone", () => web().page.workers().length === 1);
  });

  it("shows what a cell prints before it is busy, whatever was printed just before", async () => {
    const { running } = await web().page.evaluate(async () => {
      const { session } = globalThis as unknown as { session: import("./web-page.ts").Session };
      await session.execute("console.log('before')");
      return { running: (await session.interrupt("console.log('going'); for (;;) {}")).result };
    });
    assert.equal(errorOf(running).ename, "KeyboardInterrupt");
  });

  it("fails the cells behind an interrupted one", async () => {
    const page = web().page;
    const statuses = await page.evaluate(async () => {
      const { session } = globalThis as unknown as { session: import("./web-page.ts").Session };
      const first = session.interrupt("console.log('going'); for (;;) {}");
      const second = session.execute("1");
      return [(await first).result.status, (await second).status];
    });
    assert.deepEqual(statuses, ["error", "aborted"]);
    assert.equal((await run("1")).status, "ok");
  });

  it("keeps a timer's output with its cell, also when another one has begun", async () => {
    await run("let fire = () => {}; setTimeout(function look() { console.log('late'); }, 30)");
    await run("await new Promise((r) => setTimeout(r, 80)); console.log('other')");
    await until("the timer has fired", async () => (await web().parents("late\n")).length > 0);
    const [late] = await web().parents("late\n");
    const [other] = await web().parents("other\n");
    assert.ok(late && other && late !== other, `${late} and ${other}`);
  });

  it("shows an error that comes after its cell has ended below that cell", async () => {
    assert.equal((await run("setTimeout(() => { throw new Error('too late') }, 20); 1")).status, "ok");
    await until("it is told", async () => {
      const texts = await web().page.evaluate(() =>
        (globalThis as unknown as { session: import("./web-page.ts").Session }).session.texts(),
      );
      return texts.some((text) => /after Cell \[\d+\] had ended:\n.*Error.*: too late/.test(text));
    });
  });

  it("asks nobody where it cannot wait, and says what would help", async () => {
    const { text } = errorOf(await run("input('name?')", { answers: ["x"] }));
    assert.match(text, /Cross-Origin-Opener-Policy: same-origin/);
    assert.equal(shown(await run("prompt('name?')")), "null");
    assert.match(errorOf(await run("input('name?')")).text, /allows no input/);
  });

  it("imports files beside the page, and says what there is", async () => {
    assert.equal(
      shown(
        await run(
          "import data from './data.json'; import kind, { here } from './module.mjs'; [data.answer, kind, here.endsWith('/module.mjs')]",
        ),
      ),
      "[ 42, 'esm', true ]",
    );
    assert.match(errorOf(await run("import { readFile } from 'node:fs'")).text, /a module of Node's/);
    assert.match(
      errorOf(await run("import x from 'nowhere'")).text,
      /no module "nowhere" here; there are tslab/,
    );
    assert.match(errorOf(await run("import x from './no.json'")).text, /the server answered 404/);
  });

  it("evaluates user_expressions, answers history, completeness and comm_info", async () => {
    const { content } = await run("const side = 3", {
      user_expressions: { area: "side * side", bad: "nowhere.x", wrong: "}{", slow: "new Promise(() => {})" },
    });
    assert.deepEqual(content.user_expressions.area, {
      status: "ok",
      data: { "text/plain": "9" },
      metadata: {},
    });
    assert.equal(content.user_expressions.bad.ename, "ReferenceError");
    assert.equal(content.user_expressions.wrong.status, "error");
    const history = await web().ask("shell", "history_request", {
      hist_access_type: "tail",
      n: 1,
      output: false,
      raw: true,
    });
    assert.equal(history.content.history[0][2], "const side = 3");
    const open = await web().ask("shell", "is_complete_request", { code: "for (const x of xs) {" });
    assert.equal(open.content.status, "incomplete");
    assert.deepEqual((await web().ask("shell", "comm_info_request")).content.comms, {});
  });

  it("completes what is there at run time, and calls nothing", async () => {
    await run(`const parsed = JSON.parse('{"alpha": {"beta": [1], "bay leaf": 2}}'); let touched = 0;
const lazy: any = { get once() { touched++; return { inner: 1 } } }`);
    const complete = async (code: string) =>
      (await web().ask("shell", "complete_request", { code, cursor_pos: code.length })).content;
    const found = await complete("1 + parsed.alpha.b");
    assert.deepEqual([found.matches, found.cursor_start, found.cursor_end], [["beta"], 17, 18]);
    assert.deepEqual((await complete("parse")).matches.sort(), ["parseFloat", "parseInt", "parsed"]);
    assert.deepEqual((await complete("lazy.once.")).matches, []);
    assert.equal(shown(await run("touched")), "0");
  });

  it("opens comms both ways, and closes them when the worker is started anew", async () => {
    await run(
      "const c = comms.open('my.target', { a: 1 }); c.onMessage = (m) => { c.send({ got: m.data }); console.log('from the callback') }",
    );
    const { content } = await web().ask("shell", "comm_info_request");
    const [id] = Object.keys(content.comms);
    assert.deepEqual(content.comms, { [id]: { target_name: "my.target" } });
    const seen = await web().send("comm_msg", { comm_id: id, data: { x: 5 } });
    assert.deepEqual(
      seen.map(({ header, content }) => content.data ?? content.text ?? header.msg_type),
      ["status", { got: { x: 5 } }, "from the callback\n", "status"],
    );
    await web().interrupt("console.log('going'); for (;;) {}");
    assert.deepEqual((await web().ask("shell", "comm_info_request")).content.comms, {});
  });

  it("delivers 100,000 lines in order, none lost, and runs a cell of a megabyte", async () => {
    const { outputs } = await run("for (let i = 0; i < 100_000; i++) console.log(i)");
    const [only] = outputs;
    const lines = only.output_type === "stream" ? only.text.split("\n") : [];
    assert.equal(lines.length, 100_001);
    assert.ok(lines.slice(0, -1).every((line, i) => line === String(i)));
    assert.equal(shown(await run(`'${"x".repeat(1 << 20)}'.length`)), String(1 << 20));
  });
});

describe("kernel: a browser's page that is isolated", function () {
  this.timeout(300_000);
  const web = browserKernel(true);
  const run = (code: string, more = {}) => web().execute(code, more);

  it("asks by prompt(), by input(), and for a password", async () => {
    const result = await run("[prompt('name?'), input('age? '), input('secret? ', { password: true })]", {
      answers: ["Ada 🙂", "36", "x"],
    });
    assert.equal(shown(result), "[ 'Ada 🙂', '36', 'x' ]");
  });

  it("can be interrupted while it asks, and nothing is lost", async () => {
    await run("let state = 'kept'");
    const { result } = await web().interrupt("console.log('going'); prompt('for ever?')");
    assert.equal(errorOf(result).ename, "KeyboardInterrupt");
    assert.equal(shown(await run("state")), "'kept'");
  });

  it("cuts loops of microtasks off without loss", async () => {
    await run("let state = 'kept'");
    const { result } = await web().interrupt("console.log('going'); while (true) await null");
    assert.equal(errorOf(result).ename, "KeyboardInterrupt");
    assert.equal(shown(await run("state")), "'kept'");
    assert.equal(await web().workers(), 1);
  });
});
