// What may go wrong on a page: a network that is slow or breaks, too little memory, an old processor, a page in the
// background; and searches, which have workers of their own.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import type { ExecuteResult } from "../../lib/kernel/client.ts";
import { lenet300, useBackend } from "../../lib/nn/index.ts";
import { type Space, search } from "../../lib/pipeline/index.ts";
import type { KernelBundle } from "../../lib/site/bundle.ts";
import { browserPath, pageProcesses } from "../book/browser.ts";
import { until } from "../kernel/waiting.ts";
import { WebSession } from "../kernel/web.ts";
import { resultOf, siteKernel } from "./running.ts";

const errorOf = ({ content }: ExecuteResult) => `${content.ename}: ${content.evalue}`;

describe("site: troubles of a page", function () {
  this.timeout(300_000);
  let bundle: KernelBundle;
  let session: WebSession;
  before(async function () {
    if (!browserPath()) {
      console.log("      (no Chromium here: skipped)");
      this.skip();
    }
    bundle = await siteKernel();
    session = await WebSession.start(false, bundle);
  });
  after(() => session?.stop());
  const value = (code: string) => resultOf(session, code);
  const fileOf = (start: string) => [...bundle.files.keys()].find((path) => path.startsWith(start))!;

  it("a cell that waits for a network which stands still can be interrupted, and the next one loads anew", async () => {
    const path = `/kernel/${fileOf("datasets/mnist-10k/t10k-images")}`;
    session.troubles.set(path, ["stands still"]);
    await value(`import { loadDataset } from "slimlab/datasets"; var kept = "kept"`);
    const running = session.execute(`await loadDataset("mnist-10k")`);
    await until("half of it is there", () => session.troubles.standing.length === 1);
    await session.ask("control", "interrupt_request");
    assert.match(errorOf(await running), /^KeyboardInterrupt/);
    assert.equal(await value(`(await loadDataset("mnist-10k")).test.count + kept`), "'1000kept'");
    assert.equal(await session.workers(), 1);
  });

  it("what comes slowly comes whole", async () => {
    const path = `/kernel/${fileOf("datasets/weights/lenet-300-100/weights")}`;
    session.troubles.standing.length = 0;
    session.troubles.set(path, ["stands still"]);
    const running = value(
      `import { loadPretrained } from "slimlab/nn"; (await loadPretrained("lenet-300-100")).countParams()`,
    );
    await until("half of it is there", () => session.troubles.standing.length === 1);
    session.troubles.standing[0]();
    assert.equal(await running, "266610");
  });

  it("a module that broke off in the middle is loaded by the next cell", async () => {
    const path = `/kernel/${fileOf("rooms/lm.js")}`;
    session.troubles.set(path, ["broken"]);
    const code = `import * as lm from "slimlab/lm"; typeof lm`;
    const first = await session.execute(code);
    if (first.status === "error") assert.match(errorOf(first), /slimlab\/lm/);
    assert.equal(await value(code), "'object'");
  });

  const space: Space = {
    steps: [{ technique: "pruneWeights", sparsity: { from: 0.5, to: 0.9 } }],
    after: [{ technique: "fineTune", epochs: 1 }],
  };
  const beginning = `
    import { loadDataset, subset } from "slimlab/datasets";
    import { lenet300, useBackend } from "slimlab/nn";
    import { search } from "slimlab/pipeline";
    await useBackend("wasm");
    const images = subset((await loadDataset("mnist-10k")).train, 200, 1);
    const model = lenet300(1);
    const data = { train: images, test: images };
    const space = ${JSON.stringify(space)} as const;`;

  it("a search runs in workers, to Node's numbers, and the kernel answers meanwhile", async () => {
    await value(beginning);
    const running = value(
      `(await search(model, data, space, { trials: 3, seed: 1, workers: 2, cache: false })).rows
         .map(({ recipe, bytes, accuracy, error }) => [recipe, bytes, accuracy, error].join(" ")).join("; ")`,
    );
    const { content } = await session.ask("shell", "complete_request", {
      code: "model.summ",
      cursor_pos: 10,
    });
    assert.deepEqual(content.matches, ["summary"]);
    await useBackend("wasm");
    const images = subset((await loadDataset("mnist-10k")).train, 200, 1);
    const here = await search(lenet300(1), { train: images, test: images }, space, {
      trials: 3,
      seed: 1,
      workers: 1,
      cache: false,
    });
    const rows = here.rows.map(({ recipe, bytes, accuracy, error }) =>
      [recipe, bytes, accuracy, error].join(" "),
    );
    assert.equal(await running, `'${rows.join("; ")}'`);
  });

  it("an interrupt ends a search with its workers, and names stay", async () => {
    await value(`
      var alive = 0;
      const Plain = Worker;
      globalThis.Worker = class extends Plain {
        constructor(...given: ConstructorParameters<typeof Plain>) { super(...given); alive++; }
        override terminate() { super.terminate(); alive--; }
      };`);
    const { result } = await session.interrupt(
      `await search(model, data, space, { trials: 50, workers: 2, cache: false, onTrial: () => console.log(alive) })`,
    );
    assert.match(errorOf(result), /^KeyboardInterrupt/);
    assert.match(JSON.stringify(result.outputs), /"2\\n/);
    await until("the workers are ended", async () => (await value("alive")) === "0");
    assert.equal(await value("model.layers.length > 1"), "true");
  });

  it("a hundred workers that a cell has started end with it where it cannot be interrupted otherwise", async () => {
    const threads = async () => {
      const names = (await pageProcesses(session.page.context().browser()!)).flatMap((id) => {
        const folder = `/proc/${id}/task`;
        return readdirSync(folder).flatMap((each) => {
          try {
            return readFileSync(join(folder, each, "comm"), "utf8");
          } catch {
            return []; // It has just ended.
          }
        });
      });
      return names.filter((name) => name.startsWith("DedicatedWorker")).length;
    };
    if (!existsSync("/proc/self/task")) return; // Only Linux tells of threads.
    await value("const some: number = 1; some"); // Now the types' worker is there as well.
    const before = await threads();
    const { result } = await session.interrupt(`
      const url = URL.createObjectURL(new Blob(["onmessage = () => postMessage(1)"]));
      const many = Array.from({ length: 100 }, () => new Worker(url));
      await Promise.all(many.map((one) => new Promise((done) => { one.onmessage = done; one.postMessage(0); })));
      console.log("all answered");
      for (;;) {}`);
    assert.match(errorOf(result), /^KeyboardInterrupt/);
    assert.equal(await value("6 * 7"), "42");
    await until("they are gone", async () => (await threads()) <= before);
  });

  it("a cell of a megabyte is checked and runs", async () => {
    const code = `const text = ${JSON.stringify("x".repeat(1 << 20))};\ntext.length`;
    assert.equal(await value(code), String(1 << 20));
    assert.match(errorOf(await session.execute("text.nothing")), /^TypeScriptError/);
  });

  it("arrays that memory has no room for are an error of their cell", async () => {
    const { content } = await session.execute(
      "const arrays: ArrayBuffer[] = []; for (;;) arrays.push(new ArrayBuffer(2 ** 33))",
    );
    assert.match(`${content.ename}: ${content.evalue}`, /^RangeError: Array buffer allocation failed/);
    assert.equal(await value("6 * 7"), "42");
  });

  it("a page that was frozen in the background goes on where it was, and loses nothing", async () => {
    const driver = await session.page.context().newCDPSession(session.page);
    const running = value(
      "let lines = 0; for (; lines < 200; lines++) { await new Promise((done) => setTimeout(done, 2)); console.log(lines); } lines",
    );
    await driver.send("Page.setWebLifecycleState", { state: "frozen" });
    await driver.send("Page.setWebLifecycleState", { state: "active" });
    assert.equal(await running, "200");
  });

  it("a processor without SIMD is told apart from a fault", async () => {
    const old = await WebSession.start(false, bundle, "chromium", "--js-flags=--no-enable-sse4-1");
    try {
      const simd =
        "WebAssembly.validate(new Uint8Array([0,97,115,109,1,0,0,0,1,5,1,96,0,1,123,3,2,1,0,10,10,1,8,0,65,0,253,15,253,98,11]))";
      assert.equal(await resultOf(old, simd), "false");
      const { content } = await old.execute(
        `import { svd } from "slimlab/lowrank"; svd(new Float32Array(4096), 64, 64)`,
      );
      assert.match(`${content.ename}: ${content.evalue}`, /WebAssembly with SIMD, and here there is none/);
    } finally {
      await old.stop();
    }
  });
});
