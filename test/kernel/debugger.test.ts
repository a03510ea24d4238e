// The debugger over the real sockets, as JupyterLab's panel uses it.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Content, ExecuteResult, KernelClient } from "../../lib/kernel/client.ts";
import { murmur2 } from "../../lib/kernel/debug/places.ts";
import { startKernel } from "./held.ts";
import { start } from "./waiting.ts";

const within = 20_000;

describe("the debugger", function () {
  this.timeout(300_000);
  let kernel: KernelClient;
  let folder: string;
  let seq = 0;
  let events: Content[] = [];
  let wake = () => {};

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-debugger-"));
    kernel = await startKernel({ cwd: folder, env: { SLIMLAB_HISTORY: "off" } });
    kernel.onMessage((message) => {
      if (message.header.msg_type !== "debug_event") return;
      events.push(message.content);
      wake();
    });
  });
  after(async () => {
    await kernel?.shutdown();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await dap("initialize", { clientID: "test", linesStartAt1: true, columnsStartAt1: true });
    await dap("attach");
    events = [];
  });
  afterEach(async () => {
    await dap("disconnect");
    assert.equal((await kernel.execute("1 + 1")).status, "ok");
  });

  /** Sends a request; its body, or the message of its failure as an error. */
  async function dap(command: string, args: Content = {}): Promise<Content> {
    const request = { type: "request", seq: ++seq, command, arguments: args };
    const { content } = await kernel.request("control", "debug_request", request);
    assert.equal(content.type, "response");
    assert.equal(content.command, command);
    assert.equal(content.request_seq, seq);
    if (!content.success) throw new Error(content.message);
    return content.body;
  }

  /** The next event of a kind, which is taken off the list along with all before it. */
  async function event(name: string): Promise<Content> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no ${name} event came`)), within);
    });
    late.catch(() => {});
    try {
      for (;;) {
        const index = events.findIndex((each) => each.event === name);
        if (index >= 0) return events.splice(0, index + 1).at(-1)!.body;
        await Promise.race([late, new Promise<void>((resolve) => (wake = resolve))]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sets breakpoints in a cell's text. */
  async function breakpoints(code: string, ...lines: (number | { line: number; condition: string })[]) {
    const { sourcePath } = await dap("dumpCell", { code });
    const reply = await dap("setBreakpoints", {
      source: { path: sourcePath },
      breakpoints: lines.map((line) => (typeof line === "number" ? { line } : line)),
      sourceModified: false,
    });
    return { path: sourcePath as string, set: reply.breakpoints as Content[] };
  }

  /** Where it is stopped: the frames as `name:line`, innermost first. */
  async function stack(): Promise<string[]> {
    const { stackFrames } = await dap("stackTrace", { threadId: 1 });
    return stackFrames.map((frame: Content) => `${frame.name.replace(/\[[\d.]+\]/, "[n]")}:${frame.line}`);
  }

  /** The variables of a frame (0: the innermost) by scope. */
  async function variables(frame = 0): Promise<Record<string, Record<string, Content>>> {
    const { stackFrames } = await dap("stackTrace", { threadId: 1 });
    const { scopes } = await dap("scopes", { frameId: stackFrames[frame].id });
    const all: Record<string, Record<string, Content>> = {};
    for (const { name, variablesReference } of scopes) all[name] = await children(variablesReference);
    return all;
  }

  async function children(variablesReference: number): Promise<Record<string, Content>> {
    const { variables } = await dap("variables", { variablesReference });
    return Object.fromEntries(variables.map((each: Content) => [each.name, each]));
  }

  async function finish(run: Promise<ExecuteResult>): Promise<ExecuteResult> {
    await dap("continue", { threadId: 1 });
    return run;
  }

  const plain = (result: ExecuteResult) =>
    result.outputs
      .map((output) =>
        "data" in output ? output.data["text/plain"] : "text" in output ? output.text : output.evalue,
      )
      .join("");

  it("is announced", () => {
    assert.equal(kernel.info.debugger, true);
    assert.ok(kernel.info.supported_features.includes("debugger"));
  });

  it("names a cell as JupyterLab does: the values are ipykernel's murmur2_x86", async () => {
    // ipykernel.compiler.murmur2_x86(text, 0xC70F6907)
    const known: [string, number][] = [
      ["", 3990065800],
      ["a", 2167009006],
      ["abc", 3350977461],
      ["const a: number = 1;\nconsole.log(a)", 2580320650],
      ["剪枝 🙂 ü", 2937815740],
      ["12345678", 127576714],
    ];
    for (const [text, hash] of known) assert.equal(murmur2(text, 0xc70f6907), hash, text);
    const info = await dap("debugInfo");
    assert.equal(info.isStarted, true);
    assert.equal(info.hashMethod, "Murmur2");
    const { sourcePath } = await dap("dumpCell", { code: known[3][0] });
    assert.equal(sourcePath, `${info.tmpFilePrefix}${known[3][1]}${info.tmpFileSuffix}`);
    assert.deepEqual((await dap("source", { source: { path: sourcePath } })).content, known[3][0]);
    await assert.rejects(dap("source", { source: { path: "/etc/passwd" } }), /not part of what runs/);
  });

  it("tells of itself when it is off, and refuses what needs it", async () => {
    await dap("disconnect");
    assert.equal((await dap("debugInfo")).isStarted, false);
    await assert.rejects(dap("setBreakpoints", { source: { path: "x" }, breakpoints: [] }), /off/);
    await assert.rejects(dap("noSuchThing"), /no request noSuchThing/);
    await assert.rejects(dap("hasOwnProperty"), /no request/);
  });

  it("sends initialized after attach, and knows one thread", async () => {
    await dap("attach");
    await event("initialized");
    assert.deepEqual(await dap("threads"), { threads: [{ id: 1, name: "main" }] });
    await dap("configurationDone");
    assert.deepEqual((await dap("stackTrace", { threadId: 1 })).stackFrames, []);
  });

  it("stops a cell before a line, shows its variables, steps, and goes on", async () => {
    const code = `interface Point { x: number }
const first: number = 20;
const points: Point[] = [{ x: 1 }, { x: 2 }];
let sum = 0;
for (const { x } of points) {
  sum += x;
}
first + sum`;
    const { path, set } = await breakpoints(code, 4);
    assert.deepEqual(
      set.map((each) => [each.verified, each.line]),
      [[true, 4]],
    );
    const run = kernel.execute(code);
    const stopped = await event("stopped");
    assert.equal(stopped.reason, "breakpoint");
    assert.equal(stopped.threadId, 1);
    assert.deepEqual(await stack(), ["Cell [n]:4"]);
    assert.deepEqual((await dap("debugInfo")).stoppedThreads, [1]);
    const { stackFrames } = await dap("stackTrace", { threadId: 1 });
    assert.equal(stackFrames[0].source.path, path);
    const { Globals } = await variables();
    assert.equal(Globals.first.value, "20");
    assert.match(Globals.points.value, /^Array\(2\) \[/);
    const items = await children(Globals.points.variablesReference);
    assert.equal(items[1].value, "{x: 2}");
    assert.equal((await children(items[1].variablesReference)).x.value, "2");
    const lines: string[] = [];
    for (let i = 0; i < 4; i++) {
      await dap("next", { threadId: 1 });
      assert.equal((await event("stopped")).reason, "step");
      lines.push(...(await stack()));
    }
    assert.equal(lines[0], "Cell [n]:5");
    assert.ok(lines.includes("Cell [n]:6"), lines.join());
    assert.equal(plain(await finish(run)), "23");
    await event("continued");
    assert.deepEqual((await dap("debugInfo")).stoppedThreads, []);
  });

  it("stops in a function that a later cell calls, steps in, over and out", async () => {
    const code = `function square(n: number): number {
  const result = n * n;
  return result;
}
function twice(n: number): number {
  const once = square(n);
  return once + once;
}`;
    await kernel.execute(code); // Before there is any breakpoint.
    await breakpoints(code, 6);
    const caller = "const answer = twice(3);\nanswer + 1";
    const run = kernel.execute(caller);
    await event("stopped");
    assert.deepEqual(await stack(), ["twice:6", "Cell [n]:1"]);
    assert.equal((await variables()).Locals.n.value, "3");
    await dap("stepIn", { threadId: 1 });
    await event("stopped");
    assert.deepEqual(await stack(), ["square:2", "twice:6", "Cell [n]:1"]);
    await dap("next", { threadId: 1 });
    await event("stopped");
    assert.deepEqual((await stack())[0], "square:3");
    assert.equal((await variables()).Locals.result.value, "9");
    await dap("stepOut", { threadId: 1 });
    await event("stopped");
    assert.match((await stack())[0], /^twice:/);
    await dap("stepOut", { threadId: 1 });
    await event("stopped");
    assert.match((await stack())[0], /^Cell \[n\]:/);
    assert.equal(plain(await finish(run)), "19");
  });

  it("evaluates TypeScript in a frame, and changes its variables", async () => {
    const code = `function scale(factor: number): number {
  let local = factor * 10;
  Math.abs(local);
  return local;
}
scale(4)`;
    await breakpoints(code, 3);
    const run = kernel.execute(code);
    await event("stopped");
    const { stackFrames } = await dap("stackTrace", { threadId: 1 });
    const evaluate = (expression: string) => dap("evaluate", { expression, frameId: stackFrames[0].id });
    assert.equal((await evaluate("(local as number) + factor")).result, "44");
    const made = await evaluate("({ local, list: [1, 2] })");
    assert.equal((await children(made.variablesReference)).local.value, "40");
    assert.equal((await evaluate('"text"')).result, '"text"');
    await assert.rejects(evaluate("missing"), /missing is not defined/);
    await assert.rejects(evaluate("1 +"), /Unexpected|SyntaxError/);
    await evaluate("local = 7");
    await evaluate("console.log('from the panel')");
    assert.equal((await variables()).Locals.local.value, "7");
    const rich = await dap("richInspectVariables", { variableName: "local", frameId: stackFrames[0].id });
    assert.equal(rich.data["text/plain"], "7");
    assert.equal(plain(await finish(run)), "from the panel\n7");
  });

  it("stops where a condition holds, and not after the breakpoint is gone", async () => {
    const code = `let total = 0;
for (let i = 0; i < 10; i++) {
  total += i;
}
total`;
    await breakpoints(code, { line: 3, condition: "(i as number) === 7" });
    const run = kernel.execute(code);
    await event("stopped");
    const all = await variables();
    assert.equal(all.Locals.i.value, "7");
    assert.equal(all.Globals.total.value, "21");
    await breakpoints(code);
    assert.equal(plain(await finish(run)), "45");
    assert.equal(plain(await kernel.execute(code)), "45");
  });

  it("stops after an await, and in a callback when the cell has ended", async () => {
    const code = `await new Promise((resolve) => setTimeout(resolve, 10));
const late: number = 1;
const callback = () => {
  console.log("callback", late);
};
const { watch } = await import("node:fs");
const watcher = watch(".", () => (watcher.close(), callback()));
late`;
    await breakpoints(code, 2, 4);
    const run = kernel.execute(code);
    await event("stopped");
    assert.deepEqual(await stack(), ["Cell [n]:2"]);
    assert.equal(plain(await finish(run)), "1");
    await writeFile(join(folder, "sign"), "");
    await event("stopped");
    assert.match((await stack())[0], /:4$/);
    await dap("continue", { threadId: 1 });
    await event("continued");
  });

  it("does not stop in the next cell when a step has left the last line of one", async () => {
    const code = "const only = 5;\nonly";
    await breakpoints(code, 2);
    const run = kernel.execute(code);
    await event("stopped");
    // V8 stops once more at the end of a cell, with all its variables.
    await dap("next", { threadId: 1 });
    await event("stopped");
    await dap("next", { threadId: 1 });
    assert.equal(plain(await run), "5");
    events = [];
    assert.equal(plain(await kernel.execute("let a = 1;\na += 1;\na")), "2");
    await kernel.execute("await new Promise(setImmediate); 0");
    assert.deepEqual(
      events.filter((each) => each.event === "stopped"),
      [],
    );
  });

  it("stops at exceptions when asked to", async () => {
    const code = `function fails(): void {
  const reason = "too small";
  throw new RangeError(reason);
}
try { fails(); } catch {}
"caught"`;
    assert.equal(plain(await kernel.execute(code)), "'caught'");
    await dap("setExceptionBreakpoints", { filters: ["all"] });
    const run = kernel.execute(code);
    const stopped = await event("stopped");
    assert.equal(stopped.reason, "exception");
    assert.match(stopped.description, /too small/);
    assert.equal((await stack())[0], "fails:3");
    assert.equal((await variables()).Locals.reason.value, '"too small"');
    assert.equal(plain(await finish(run)), "'caught'");
    const thrown = kernel.execute("fails()");
    assert.equal((await event("stopped")).reason, "exception");
    const result = await finish(thrown);
    assert.equal(result.status, "error");
    assert.equal(result.content.ename, "RangeError");
    await dap("setExceptionBreakpoints", { filters: [] });
    assert.equal((await kernel.execute("fails()")).status, "error");
  });

  it("lists what cells have declared while cells begin and end, whatever V8 lets go of meanwhile", async () => {
    await kernel.execute("const held = { a: [1, 2] }, other = new Map([[1, { b: 2 }]])");
    const cells = Promise.all(
      Array.from({ length: 20 }, (_, i) => kernel.execute(`const n${i} = { i: ${i} }`)),
    );
    const ask = async () => {
      const request = { type: "request", seq: ++seq, command: "inspectVariables" };
      const { content } = await kernel.request("control", "debug_request", request);
      assert.ok(content.success, content.message);
      return content.body;
    };
    const lists = await Promise.all(Array.from({ length: 60 }, ask));
    await cells;
    for (const { variables } of lists) {
      assert.ok(Array.isArray(variables));
      const held = variables.find((each: Content) => each.name === "held");
      assert.ok(held, "the list is empty");
    }
    // What the panel opens when its object is gone shows nothing, and fails nothing.
    const { variablesReference } = lists[0].variables.find((each: Content) => each.name === "held");
    assert.deepEqual(await dap("variables", { variablesReference }), { variables: [] });
  });

  it("shows the cells' variables while nothing is stopped, large ones in part", async () => {
    await kernel.execute(`const numbers = new Float32Array(1e6).fill(2);
const table = new Map<string, number>([["a", 1]]);
class Layer { #secret = 1; name = "dense"; get size(): number { return 1; } }
const layer = new Layer();
const text = "hello";
const fn = (n: number) => n;
const image = { [Symbol.for("Jupyter.display")]: () => ({ "text/html": "<b>image</b>" }) };`);
    const { variables } = await dap("inspectVariables");
    const all: Record<string, Content> = Object.fromEntries(
      variables.map((each: Content) => [each.name, each]),
    );
    assert.equal(all.text.value, '"hello"');
    assert.equal(all.text.type, "string");
    assert.match(all.numbers.value, /^Float32Array\(1000000\) \[2, 2/);
    const numbers = await children(all.numbers.variablesReference);
    assert.equal(numbers[99].value, "2");
    assert.equal(numbers["…"].value, "999900 more");
    assert.equal((await children(all.table.variablesReference)).a.value, "1");
    const layer = await children(all.layer.variablesReference);
    assert.equal(layer.name.value, '"dense"');
    assert.equal(layer["#secret"].value, "1");
    assert.match(all.fn.value, /^ƒ/);
    assert.match(all.Layer.value, /^class Layer/);
    assert.deepEqual(
      Object.keys(all).filter((name) => name.startsWith("__")),
      [],
    );
    const rich = await dap("richInspectVariables", { variableName: "image" });
    assert.equal(rich.data["text/html"], "<b>image</b>");
    assert.deepEqual(await dap("richInspectVariables", { variableName: "a b" }), { data: {}, metadata: {} });
    assert.equal((await dap("evaluate", { expression: "text.length" })).result, "5");
  });

  it("goes on when it is turned off while something is stopped", async () => {
    const code = "const before: number = 1;\nbefore + 1";
    await breakpoints(code, 2);
    const run = kernel.execute(code);
    await event("stopped");
    await dap("disconnect");
    await event("continued");
    assert.equal(plain(await run), "2");
    assert.equal(plain(await kernel.execute(code)), "2");
  });

  for (const [where, code] of [
    ["before the cell's first wait", "const here: number = 1;\nwhile (true) {}"],
    ["after a wait", "await new Promise((resolve) => setTimeout(resolve, 5));\nfor (;;) Math.random();"],
    ["in a callback", "await new Promise(() => setTimeout(() => {\n  for (;;) Math.random();\n}, 5))"],
  ]) {
    it(`lets an interrupt end a cell that is stopped ${where}`, async () => {
      await breakpoints(code, 2);
      const run = kernel.execute(code);
      await event("stopped");
      await kernel.interrupt();
      const result = await run;
      assert.equal(result.status, "error");
      assert.equal(result.content.ename, "KeyboardInterrupt");
      await event("continued");
      // Breakpoints hold again after it.
      const again = "const next: number = 1;\nnext";
      await breakpoints(again, 2);
      const second = kernel.execute(again);
      await event("stopped");
      assert.equal(plain(await finish(second)), "1");
    });
  }

  it("pauses a busy cell", async () => {
    const { running: run } = await start(
      kernel,
      "let turns = 0;\nwhile (turns >= 0) {\n  if (++turns === 1) console.log('going');\n}\n'out'",
    );
    await dap("pause", { threadId: 1 });
    await event("stopped");
    assert.match((await stack())[0], /^Cell \[n\]:[23]$/);
    await dap("evaluate", { expression: "turns = -2" });
    assert.equal(plain(await finish(run)), "going\n'out'");
  });

  it("pauses a cell that is nearly always in Node's code, in the cell's own line", async () => {
    const { running: run } = await start(
      kernel,
      "let on = true;\nconsole.log('going');\nwhile (on) {\n  util.inspect(process.versions);\n}\n'out'",
    );
    await dap("pause", { threadId: 1 });
    await event("stopped");
    assert.match((await stack())[0], /^Cell \[n\]:[34]$/);
    await dap("evaluate", { expression: "on = false" });
    assert.equal(plain(await finish(run)), "going\n'out'");
  });

  it("ends a stopped cell, and itself, when told to terminate", async () => {
    const run = kernel.execute("debugger;\n1");
    await event("stopped");
    await dap("terminate");
    assert.equal((await run).content.ename, "KeyboardInterrupt");
    assert.equal((await dap("debugInfo")).isStarted, false);
  });

  it("interrupts a busy cell as ever while it is on", async () => {
    const { running: run } = await start(kernel, "console.log('going'); while (true) {}");
    await kernel.interrupt();
    assert.equal((await run).content.ename, "KeyboardInterrupt");
    assert.deepEqual(
      events.filter((each) => each.event === "stopped"),
      [],
    );
  });

  it("answers the kernel's other requests while a cell is stopped", async () => {
    const code = "const halted: number = 1;\nhalted";
    await breakpoints(code, 2);
    const run = kernel.execute(code);
    await event("stopped");
    await kernel.heartbeat();
    const { content } = await kernel.request("shell", "complete_request", {
      code: "Math.hyp",
      cursor_pos: 8,
    });
    assert.deepEqual(content.matches, ["hypot"]);
    assert.equal(plain(await finish(run)), "1");
  });

  it("maps enums and decorators, which esbuild compiles", async () => {
    const code = `enum Color { Red, Green }
function paint(color: Color): string {
  const name = Color[color];
  return name;
}
paint(Color.Green)`;
    await breakpoints(code, 4);
    const run = kernel.execute(code);
    await event("stopped");
    assert.deepEqual(await stack(), ["paint:4", "Cell [n]:6"]);
    assert.equal((await variables()).Locals.name.value, '"Green"');
    assert.equal(plain(await finish(run)), "'Green'");
  });

  it("stops in the project's own TypeScript files", async () => {
    const file = join(folder, "helper.ts");
    await writeFile(
      file,
      `interface Options {
  by: number;
}
export function grow(n: number, options: Options): number {
  const grown = n * options.by;
  return grown;
}
`,
    );
    assert.equal(
      (await kernel.execute('import { grow } from "./helper.ts"; grow(1, { by: 1 })')).status,
      "ok",
    );
    const { modules } = await dap("modules");
    assert.ok(
      modules.some((each: Content) => each.path === file),
      JSON.stringify(modules),
    );
    assert.match((await dap("source", { source: { path: file } })).content, /interface Options/);
    await dap("setBreakpoints", { source: { path: file }, breakpoints: [{ line: 6 }] });
    const run = kernel.execute("grow(2, { by: 3 })");
    await event("stopped");
    assert.deepEqual(await stack(), ["grow:6", "Cell [n]:1"]);
    assert.equal((await variables()).Locals.grown.value, "6");
    assert.equal(plain(await finish(run)), "6");
  });
});

describe("the debugger at the kernel's end", function () {
  this.timeout(300_000);
  it("lets a stopped kernel shut down", async () => {
    const kernel = await startKernel({ env: { SLIMLAB_HISTORY: "off" } });
    const send = (command: string, args: Content = {}) =>
      kernel.request("control", "debug_request", { type: "request", seq: 1, command, arguments: args });
    const stopped = new Promise<void>((resolve) =>
      kernel.onMessage(({ content }) => content.event === "stopped" && resolve()),
    );
    await send("initialize");
    await send("attach");
    void kernel.execute("debugger;\n1").catch(() => {});
    await stopped;
    await kernel.shutdown();
    const { code, signal } = await kernel.exited;
    assert.deepEqual([code, signal], [0, null]);
  });
});
