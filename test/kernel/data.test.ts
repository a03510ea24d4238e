// Pasted data: cells of a megabyte run as small ones do, typed as a whole, and an interrupt need not wait for them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { thinned, withoutData } from "../../lib/kernel/cell/data.ts";
import { transformCell } from "../../lib/kernel/cell/transform.ts";
import type { ExecuteResult, KernelClient } from "../../lib/kernel/client.ts";
import { startKernel } from "./held.ts";
import { Repl } from "./repl.ts";
import { nextMessage, until } from "./waiting.ts";

const rows = (count: number) => Array.from({ length: count }, (_, i) => `{ a: ${i}, b: 'x]${i}' }`).join(",");
const strings = Array.from({ length: 3000 }, (_, i) => `"[${i}"`).join(", ");

describe("kernel: data in cells", function () {
  this.timeout(300_000);

  it("is not read, wherever it stands: the cell's text is", async () => {
    const repl = new Repl();
    try {
      for (const [code, value] of [
        [`const a = [${rows(2000)}]; a.length + a[1999].b`, "2000x]1999"],
        [
          `const o = { deep: [[${strings}], -1.5e3, null], 'k': { 1: true } }; o.deep[0].length + o.k[1]`,
          3001,
        ],
        [`const f = (x: unknown[]) => x.at(-1)\nf([${strings},])`, "[2999"],
        // What only looks like data.
        [`const s = \`= [${strings}]\`; s.length`, strings.length + 4],
        [`/* = [${strings}] */ let q = "= ["; q + "]"`, "= []"],
        [`const h = [${strings}, , 5]; 3001 in h ? h.length : 0`, 3002],
        [`const n = [${strings}, 1 + 1]; n.at(-1)`, 2],
        [`enum E { A } const e = [${rows(2000)}]; e[1].b + E.A`, "x]10"],
      ] as const) {
        const shown = await repl.run(code);
        assert.equal(shown, value, code.slice(0, 40));
      }
    } finally {
      repl.close();
    }
  });

  it("leaves errors where they are, in the data and behind it", async () => {
    const behind = `const a = [\n${rows(2000).replaceAll("},", "},\n")}];\nconst b = ;`;
    await assert.rejects(transformCell(behind, { name: "c" }), { line: 2002, column: 11 });
    const inside = `const a = [\n${rows(2000).replaceAll("},", "},\n").replace("a: 1500", "a 1500")}];`;
    await assert.rejects(transformCell(inside, { name: "c" }), { line: 1502 });
  });

  it("is to the checker one element of each shape, where a variable has no type of its own", () => {
    const mixed = `const m = [${"1, 'a', { x: 1 }, { x: 1, y: [2] }, [true], ".repeat(600)}]`;
    assert.equal(
      thinned(mixed).replaceAll(/\s+/g, " "),
      "const m = [1, 'a', { x: 1 }, { x: 1, y: [2] }, [true], ]",
    );
    assert.equal(thinned(mixed).length, mixed.length);
    for (const kept of [
      `const m: Row[] = [${strings}]`,
      `const m = [${strings}] as const`,
      `f([${strings}])`,
    ])
      assert.equal(thinned(kept), kept);
    assert.equal(withoutData("const small = [1, 2, 3]").ranges.length, 0);
  });

  describe("in a kernel that checks types", () => {
    let kernel: KernelClient;
    before(async () => {
      kernel = await startKernel({ env: { SLIMLAB_HISTORY: "off" } });
    });
    after(() => kernel?.shutdown());
    const said = ({ outputs }: ExecuteResult) => {
      const [first] = outputs;
      return first?.output_type === "error"
        ? first.evalue
        : first && "data" in first && first.data["text/plain"];
    };

    it("a megabyte has its type in later cells", async () => {
      assert.equal(said(await kernel.execute(`const big = [${rows(45_000)}]; big.length`)), "45000");
      assert.equal(said(await kernel.execute("big[44_999].b.toUpperCase()")), "'X]44999'");
      assert.match(
        String(said(await kernel.execute("big[0].b.toFixed()"))),
        /'toFixed' does not exist on type 'string'/,
      );
      const code = "big[0].";
      const { content } = await kernel.request("shell", "complete_request", { code, cursor_pos: 7 });
      assert.deepEqual(content.matches, ["a", "b"]);
    });

    it("an interrupt ends a cell that is being checked", async function () {
      if (process.platform === "win32") this.skip();
      const [server] = execFileSync("ps", ["-o", "pid=", "--ppid", String(kernel.pid)], { encoding: "utf8" })
        .trim()
        .split(/\s+/);
      process.kill(Number(server), "SIGSTOP");
      try {
        await until("the server has stopped", () =>
          execFileSync("ps", ["-o", "stat=", "-p", server], { encoding: "utf8" }).startsWith("T"),
        );
        const begun = nextMessage(kernel, ({ header }) => header.msg_type === "execute_input");
        const running = kernel.execute("big.nothing");
        await begun;
        await kernel.interrupt();
        assert.equal(said(await running), "the cell was interrupted before it ran");
        // The server is still stopped: nobody has waited for it.
        assert.match(execFileSync("ps", ["-o", "stat=", "-p", server], { encoding: "utf8" }), /^T/);
      } finally {
        process.kill(Number(server), "SIGCONT");
      }
      assert.equal(said(await kernel.execute("big.length")), "45000");
    });
  });
});
