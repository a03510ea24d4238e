// Types in a browser: what TypeScript's own service in a worker answers, where it is late, and where it cannot be had.
import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import type { ExecuteResult } from "../../lib/kernel/client.ts";
import { typeFiles } from "../../lib/kernel/types/library.ts";
import { browserPath } from "../book/browser.ts";
import { until } from "./waiting.ts";
import { WebSession } from "./web.ts";

const errorOf = ({ content }: ExecuteResult) => `${content.ename}: ${content.evalue}`;
const stderrOf = ({ outputs }: ExecuteResult) =>
  stripVTControlCharacters(
    outputs
      .flatMap((each) => (each.output_type === "stream" && each.name === "stderr" ? each.text : []))
      .join(""),
  );

describe("kernel: types, in a browser", function () {
  this.timeout(300_000);
  let web: WebSession;
  before(async function () {
    if (!browserPath()) this.skip();
    web = await WebSession.start(false, "typed");
  });
  after(() => web?.stop());
  afterEach(async () => assert.deepEqual(await web.faults(), []));

  const run = (code: string) => web.execute(code);
  const complete = async (code: string, cursor_pos = code.length) =>
    (await web.ask("shell", "complete_request", { code, cursor_pos })).content;

  it("an error stops the cell before it runs, and says where it is", async () => {
    const result = await run("let ran = true;\nconst wrong: number = 'text'");
    assert.equal(errorOf(result), "TypeScriptError: Type 'string' is not assignable to type 'number'.");
    const traceback = stripVTControlCharacters(result.content.traceback.join("\n"));
    assert.match(traceback, /\(TS2322\)/);
    assert.match(traceback, /Cell \[\d+\], line 2|2 \| const wrong/);
    assert.match(errorOf(await run("ran")), /Cannot find name 'ran'/);
  });

  it("names of earlier cells, slimlab's modules, Node's that a page has, and the worker's own are known", async () => {
    assert.equal(
      (await run("interface Point { x: number }\nlet point: Point = { x: 1 }; const list = []")).status,
      "ok",
    );
    assert.equal(
      errorOf(await run("point.y")),
      "TypeScriptError: Property 'y' does not exist on type 'Point'.",
    );
    assert.equal((await run("list.push(1); list.length")).status, "ok");
    assert.match(
      errorOf(await run("import { lenet300 } from 'slimlab/nn'; lenet300('x').layers")),
      /TypeScriptError: Argument of type 'string' is not assignable to parameter of type 'number'/,
    );
    assert.match(
      errorOf(await run("import { join } from 'node:path'; join(1)")),
      /'number' is not assignable/,
    );
    assert.match(errorOf(await run("self.postMessage(); display.html(5)")), /TypeScriptError/);
    assert.equal((await run("import data from './data.json'; data.answer")).status, "ok");
    assert.match(
      errorOf(await run("import 'no-such-module'")),
      /ModuleError: there is no module "no-such-module"/,
    );
  });

  it("completes and explains while a cell runs", async () => {
    await run("/** How far. */\nconst distance = { metres: 5, feet: 16 }; var go = () => {}");
    await until("types are there", async () => (await complete("distance.me")).matches[0] === "metres");
    const busy = run("await new Promise<void>((done) => { go = done }); 'over'");
    const found = await complete("distance.me");
    assert.deepEqual(found.matches, ["metres"]);
    assert.equal(found.metadata._jupyter_types_experimental[0].type, "property");
    const { content } = await web.ask("shell", "inspect_request", {
      code: "distance",
      cursor_pos: 4,
      detail_level: 1,
    });
    assert.match(
      content.data["text/markdown"],
      /const distance: \{[\s\S]*metres: number[\s\S]*How far\.[\s\S]*feet: 16/,
    );
    // What ends the cell is no cell, for cells wait for each other.
    await web.ask("control", "interrupt_request");
    assert.equal((await busy).status, "error");
  });

  it("// @ts-nocheck and // @ts-strict false are heeded", async () => {
    assert.equal((await run("// @ts-nocheck\nconst loose: number = 'x'; loose")).status, "ok");
    assert.equal(
      (await run("// @ts-strict false\nfunction untyped(a) { return a }\nuntyped(1)")).status,
      "ok",
    );
    await run("// @ts-strict true\n1");
  });

  it("switched off, nothing is checked; switched on again, it knows what ran meanwhile", async () => {
    await web.check("off");
    assert.equal((await run("const unchecked: number = 'x'; let later = { a: 1 }")).status, "ok");
    await web.check("error");
    assert.match(errorOf(await run("later.b")), /Property 'b' does not exist/);
  });

  it("a loop's end takes the names from the checker too", async () => {
    await run("const before = { kept: 1 }; console.log('there')");
    await web.interrupt("console.log('going'); for (;;) {}");
    assert.match(errorOf(await run("before.kept")), /Cannot find name 'before'/);
  });

  it("a cell that takes a compiler has it also where checks are switched off", async () => {
    await web.check("off");
    const result = await run("enum Direction { Up = 1 }\nconst wrong: string = Direction.Up; wrong + 1");
    assert.equal(result.status, "ok", result.content.evalue);
    await web.check("error");
  });

  it("what cannot be loaded costs the check, not the cell; the next cell tries again", async () => {
    const broken = await WebSession.start(false, "typed");
    try {
      await broken.execute("1");
      await broken.check("off");
      broken.troubles.set(`/${typeFiles.typescript}`, Array(20).fill("broken"));
      await broken.check("error");
      const unchecked = await broken.execute("const n: number = 'x'; n");
      assert.equal(unchecked.status, "ok");
      assert.match(stderrOf(unchecked), /Types were not checked: /);
      const refused = await broken.execute("1;\nenum E { A }");
      assert.equal(refused.content.ename, "SyntaxError");
      assert.match(refused.content.evalue, /need TypeScript's compiler, which could not be had: /);
      assert.match(refused.content.traceback.join("\n"), /line 2, column 1/);
      broken.troubles.clear();
      await until(
        "types are there",
        async () => (await broken.execute("n.gone")).content.ename === "TypeScriptError",
      );
    } finally {
      await broken.stop();
    }
  });
});
