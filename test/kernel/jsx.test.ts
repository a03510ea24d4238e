// JSX in cells: read, compiled, checked and completed, by a folder's settings and by a cell's own.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecuteResult, KernelClient } from "../../lib/kernel/client.ts";
import { startKernel } from "./held.ts";

/** A package that makes elements, as small as one can be. */
const files: Record<string, string> = {
  "node_modules/tiny/package.json": JSON.stringify({
    name: "tiny",
    type: "module",
    exports: { "./jsx-runtime": { types: "./runtime.d.ts", default: "./runtime.js" } },
  }),
  "node_modules/tiny/runtime.js": `export const Fragment = "all";
const make = (type, { children, ...props }, all) =>
  typeof type === "function" ? type({ children, ...props }) : [type, props, ...all];
export const jsx = (type, props) => make(type, props, props.children === undefined ? [] : [props.children]);
export const jsxs = (type, props) => make(type, props, props.children);`,
  "node_modules/tiny/runtime.d.ts": `export declare const Fragment: unique symbol;
export declare function jsx(type: unknown, props: unknown): JSX.Element;
export declare function jsxs(type: unknown, props: unknown): JSX.Element;
export namespace JSX {
  interface Element extends Array<unknown> {}
  interface IntrinsicElements { b: { id?: string; children?: unknown } }
  interface ElementChildrenAttribute { children: {} }
}`,
};

function shown({ outputs }: ExecuteResult): string {
  const [first] = outputs;
  if (first?.output_type === "error") return first.evalue;
  return String(first && "data" in first ? first.data["text/plain"] : JSON.stringify(outputs));
}

describe("kernel: JSX", function () {
  this.timeout(300_000);
  let folder: string;
  let kernel: KernelClient;
  const run = async (code: string) => shown(await kernel.execute(code));

  async function start(config: object | undefined, args: string[] = []): Promise<void> {
    folder = await mkdtemp(join(tmpdir(), "slimlab-jsx-"));
    await mkdir(join(folder, "node_modules/tiny"), { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    if (config) await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: config }));
    kernel = await startKernel({ cwd: folder, args, env: { SLIMLAB_HISTORY: "off" } });
  }
  afterEach(async () => {
    await kernel?.shutdown();
    await rm(folder, { recursive: true, force: true });
  });

  it("is compiled and checked as tsconfig.json says; casts and generics stay what they are", async () => {
    await start({ jsx: "react-jsx", jsxImportSource: "tiny" });
    assert.equal(await run("const a = <b id='x'>hi{1 + 1}</b>; a"), "[ 'b', { id: 'x' }, 'hi', 2 ]");
    assert.equal(await run("a.length"), "4");
    assert.match(await run("a.nothing"), /Property 'nothing' does not exist/);
    await run("function App({ name }: { name: string }) { return <b>{name}</b> }");
    assert.equal(await run("await null; <App name='n' />"), "[ 'b', {}, 'n' ]");
    assert.match(await run("<App nome='n' />"), /'nome' does not exist/);
    assert.equal(await run("<><b>{a.length}</b></>"), "[ 'all', {}, [ 'b', {}, 4 ] ]");
    assert.equal(await run("const n = <number>(5 as unknown); const same = <T>(x: T) => x; same(n)"), "5");
    // What the compiler needs for JSX is no name of the notebook's.
    assert.match(await run("jsx"), /Cannot find name 'jsx'/);
    const code = "const el = <App na />";
    const { content } = await kernel.request("shell", "complete_request", { code, cursor_pos: 18 });
    assert.deepEqual(content.matches, ["name"]);
    const { content: open } = await kernel.request("shell", "is_complete_request", { code: "<b>" });
    assert.equal(open.status, "incomplete");
  });

  it("names its runtime in a cell, means React where a cell has it, and says what to do where there is none", async () => {
    await start(undefined);
    assert.match(await run("<b>1</b>"), /react\/jsx-runtime.*npm install react/);
    assert.equal(await run("/** @jsxImportSource tiny */\n<b>1</b>"), "[ 'b', {}, '1' ]");
    await run(
      "function h(type: string, props: object | null, ...all: unknown[]) { return { type, props, all } }",
    );
    assert.equal(await run("/** @jsx h */\nconst e = <i id='1' />; e.type"), "'i'");
    assert.equal(await run("e.props"), "{ id: '1' }");
    await run("const React = { createElement: (type: string, ..._: unknown[]) => 'React: ' + type }");
    assert.equal(await run("<i />"), "'React: i'");
  });

  it("is read in JavaScript too", async () => {
    await start({ jsx: "react", jsxFactory: "make" }, ["--javascript"]);
    await run("const make = (type, props) => [type, props]");
    assert.equal(await run("<i a={1} />"), "[ 'i', { a: 1 } ]");
    assert.equal(await run("1 < 2, 3 > 2"), "true");
  });
});
