// What VS Code's Jupyter extension expects of a kernel: its own tests (executionService, interruptRestart, completion,
// nonPythonKernels and display order, of microsoft/vscode-jupyter), told to the kernel directly and in TypeScript. Of its
// tests, those of its editor and of Python's environments have nothing to do with a kernel; `set_next_input` is IPython's.
import assert from "node:assert/strict";
import type { ExecuteResult, KernelClient } from "../../lib/kernel/client.ts";
import { startKernel } from "./held.ts";
import { nextMessage, start } from "./waiting.ts";

/** Its handler of a cell's messages makes an output of each stream that differs from the one before. */
const texts = ({ outputs }: ExecuteResult) =>
  outputs.map((one) => {
    if (one.output_type === "stream") return one.text;
    return one.output_type === "error" ? one.ename : String(one.data["text/plain"]);
  });

const pause = (ms: number) => `await new Promise((resolve) => setTimeout(resolve, ${ms}));`;

describe("kernel: what VS Code's Jupyter extension expects", () => {
  let kernel: KernelClient;
  const run = (code: string, options = {}) => kernel.execute(code, options);
  before(async () => {
    kernel = await startKernel({ env: { SLIMLAB_HISTORY: "off" } });
  });
  after(() => kernel?.shutdown());

  it("a language that is one of its own, which cells are given", () => {
    assert.equal(kernel.info.language_info.name, "typescript");
    assert.equal(kernel.info.language_info.file_extension, ".ts");
  });
  it("a cell's value (its test of Deno's kernel), and counts that go up by one", async () => {
    const first = await run("123456");
    const second = await run("console.log('Hello World')");
    assert.deepEqual(texts(first), ["123456"]);
    assert.deepEqual(texts(second), ["Hello World\n"]);
    assert.equal(second.executionCount, first.executionCount! + 1);
  });
  it("leading white space, and signs of HTML, as they are", async () => {
    assert.deepEqual(texts(await run("console.log('\\tho'); console.log('\\tho')")), ["\tho\n\tho\n"]);
    assert.deepEqual(texts(await run("const a = '<a href=f>'; console.log(a); a")), [
      "<a href=f>\n",
      "'<a href=f>'",
    ]);
    const { outputs } = await run("throw new RangeError('<whatever>')");
    const [error] = outputs;
    assert.ok(error.output_type === "error");
    assert.equal(error.ename, "RangeError");
    assert.equal(error.evalue, "<whatever>");
    assert.match(error.traceback.join(""), /<whatever>/);
  });
  it("an error's name, its message and a traceback for an unknown name", async () => {
    const { outputs, status } = await run("// @ts-nocheck\nconsole.log(abcd)");
    assert.equal(status, "error");
    assert.ok(outputs[0].output_type === "error");
    assert.deepEqual([outputs[0].ename, outputs[0].evalue], ["ReferenceError", "abcd is not defined"]);
    assert.ok(outputs[0].traceback.length > 0);
  });
  it("a display that later cells update where it stands", async () => {
    const shown = await run("const shown = display('foo')");
    assert.deepEqual(texts(shown), ["'foo'"]);
    assert.deepEqual(texts(await run("shown.update('bar'); console.log('hello')")), ["hello\n"]);
    assert.deepEqual(texts(shown), ["'bar'"]);
  });
  it("outputs that are cleared at once, or by the next one", async () => {
    for (const wait of [true, false]) {
      const code = `console.log('foo'); display('foo'); ${pause(30)} display.clear({ wait: ${wait} }); console.log('bar'); display('bar')`;
      assert.deepEqual(texts(await run(code)), ["bar\n", "'bar'"]);
    }
    assert.deepEqual(texts(await run("display('first'); display.clear({ wait: true }); 1 + 1")), ["2"]);
  });
  it("output that streams while the cell runs, in its order", async () => {
    const seen: string[] = [];
    const result = await run(
      `console.log('Start'); for (let i = 0; i < 5; i++) { ${pause(5)} console.log(i) } console.log('End')`,
      {
        onMessage: ({ header, content }: { header: { msg_type: string }; content: { text?: string } }) => {
          if (header.msg_type === "stream") seen.push(content.text ?? "");
        },
      },
    );
    assert.equal(seen.join(""), "Start\n0\n1\n2\n3\n4\nEnd\n");
    assert.deepEqual(texts(result), [seen.join("")]);
  });
  it("what both streams say as outputs of their own, joined where neighbours are of one", async () => {
    const { outputs } = await run(
      ["out 1", "out 2", "err a", "err b", "out 3", "err c"]
        .map((each) => `process.std${each.slice(0, 3)}.write('${each.slice(4)}');`)
        .join(" ")
        .concat(" void 0"),
    );
    assert.deepEqual(
      outputs.map((one) => one.output_type === "stream" && [one.name, one.text]),
      [
        ["stdout", "12"],
        ["stderr", "ab"],
        ["stdout", "3"],
        ["stderr", "c"],
      ],
    );
  });
  it("messages of what works in the background in the cell that began it, after that has ended", async () => {
    const last = nextMessage(
      kernel,
      ({ header, content }) => header.msg_type === "stream" && content.text.includes("iteration 9"),
    );
    let id: string | undefined;
    await run(
      `void (async () => { for (let i = 0; i < 10; i++) { console.log('iteration ' + i); ${pause(5)} } })();
       ${pause(12)} console.log('main done')`,
      {
        onMessage: ({ parent_header }: { parent_header: { msg_id?: string } }) => {
          id = parent_header.msg_id;
        },
      },
    );
    await run("'another cell'");
    assert.equal((await last).parent_header.msg_id, id);
  });
  it("cells that wait behind one that fails do not run; asked again, they do", async () => {
    const cells = [0, 1, 2, 3].map((i) => run(`console.log(${i})`));
    const fails = run("// @ts-nocheck\nKABOOM");
    const rest = [5, 6, 7, 8, 9].map((i) => run(`console.log(${i})`));
    const first = await Promise.all(cells);
    assert.deepEqual(first.flatMap(texts), ["0\n", "1\n", "2\n", "3\n"]);
    const counts = first.map(({ executionCount }) => executionCount!);
    assert.deepEqual(
      counts,
      counts.map((_, i) => counts[0] + i),
    );
    assert.equal((await fails).status, "error");
    for (const { status, outputs, executionCount } of await Promise.all(rest)) {
      assert.deepEqual([status, outputs, executionCount], ["aborted", [], null]);
    }
    assert.deepEqual(texts(await run("console.log('after')")), ["after\n"]);
  });
  it("an interrupt that ends the cell with an error and skips what waits, and a kernel that goes on", async () => {
    const { running } = await start(kernel, "console.log('going'); while (true) {}");
    let waits: Promise<ExecuteResult> | undefined;
    await new Promise((here) => {
      waits = run("console.log('must not run')", { onMessage: here });
    });
    await kernel.interrupt();
    assert.equal((await running).status, "error");
    assert.equal((await waits!).status, "aborted");
    assert.deepEqual(texts(await run("'on'")), ["'on'"]);
  });
  it("completions of a variable's members, with where they go and their kinds", async () => {
    await run("const text = 'abc'");
    const { content } = await kernel.request("shell", "complete_request", { code: "text.", cursor_pos: 5 });
    assert.ok(content.matches.includes("toUpperCase") && content.matches.includes("length"));
    assert.deepEqual([content.cursor_start, content.cursor_end], [5, 5]);
    const kinds: { text: string; type: string }[] = content.metadata._jupyter_types_experimental;
    assert.equal(kinds.find(({ text }) => text === "length")?.type, "property");
  });
  it("values in the kinds that it looks for, the text always among them", async () => {
    const { outputs } = await run(
      `display({ "text/html": "<a>Hello</a>", "application/json": { a: 1 }, "text/plain": "some text" }, { raw: true })`,
    );
    assert.ok(outputs[0].output_type === "display_data");
    assert.deepEqual(Object.keys(outputs[0].data).sort(), ["application/json", "text/html", "text/plain"]);
  });
});
