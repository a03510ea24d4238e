import assert from "node:assert/strict";
import { type KernelClient, type Message, startKernel } from "../../lib/kernel/index.ts";
import { packageRoot } from "../../lib/util/files.ts";

// A front end's side of a slider, over the kernel's real sockets: no browser, and every message seen.
describe("widgets over the sockets", function () {
  this.timeout(300_000);
  let kernel: KernelClient;
  before(async () => {
    kernel = await startKernel({ cwd: packageRoot });
  });
  after(() => kernel?.shutdown());

  /** Sends what a moved slider sends, and collects what comes until the kernel is idle again. */
  async function move(id: string, state: object): Promise<Message[]> {
    const seen: Message[] = [];
    let sent = "";
    await new Promise<void>((done) => {
      const stop = kernel.onMessage((message) => {
        if (message.parent_header.msg_id !== sent) return;
        seen.push(message);
        if (message.header.msg_type === "status" && message.content.execution_state === "idle") {
          stop();
          done();
        }
      });
      sent = kernel.send("shell", "comm_msg", { comm_id: id, data: { method: "update", state } });
    });
    return seen;
  }

  it("a cell that ends in interact() shows the controls and the picture, and nothing else", async () => {
    const { outputs } = await kernel.execute(`
      import { IntSlider, interact } from "slimlab/widgets";
      await interact({ bits: new IntSlider() }, ({ bits }) => 2 * bits)`);
    assert.deepEqual(
      outputs.map((output) => output.output_type),
      ["display_data", "display_data"],
      JSON.stringify(outputs),
    );
  });

  it("a moved slider is echoed, calls its observer, and the picture is replaced before the kernel is idle", async () => {
    const cell = await kernel.execute(`
      import { IntSlider, interact } from "slimlab/widgets";
      const bits = new IntSlider({ value: 4, min: 1, max: 8 });
      await interact({ bits }, async ({ bits }) => {
        await new Promise((done) => setTimeout(done, 20));
        return { [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "levels: " + 2 ** bits }) };
      });
      bits.id`);
    assert.equal(cell.status, "ok", JSON.stringify(cell));
    const { content } = await kernel.request("shell", "comm_info_request", { target_name: "jupyter.widget" });
    const result = cell.outputs.find((output) => output.output_type === "execute_result");
    const id = /[0-9a-f]{32}/.exec(JSON.stringify(result))![0];
    assert.ok(id in content.comms, "the slider is among the comms that are open");

    const shown = cell.outputs.filter((output) => output.output_type === "display_data");
    assert.equal(shown.length, 2);
    assert.ok("application/vnd.jupyter.widget-view+json" in (shown[0] as { data: object }).data);
    assert.deepEqual((shown[1] as { data: object }).data, { "text/plain": "levels: 16" });

    const seen = await move(id, { value: 6 });
    const types = seen.map(({ header }) => header.msg_type);
    assert.deepEqual(types, ["status", "comm_msg", "update_display_data", "status"]);
    assert.deepEqual(seen[1].content.data, { method: "echo_update", state: { value: 6 }, buffer_paths: [] });
    assert.deepEqual(seen[2].content.data, { "text/plain": "levels: 64" });

    const refused = await move(id, { value: 99 });
    assert.deepEqual(refused[2].content.data, { method: "update", state: { value: 6 }, buffer_paths: [] });
    assert.equal(refused.length, 4, "nothing was drawn");
    assert.equal((await kernel.execute("bits.value")).outputs.length, 1);
  });

  it("an observer that throws is heard of, and the slider lives on", async () => {
    await kernel.execute(`
      import { Checkbox } from "slimlab/widgets";
      const box = new Checkbox();
      box.onChange(({ value }) => { if (value) throw new Error("not this way"); console.log("off again"); });
      display(box);`);
    const { outputs } = await kernel.execute("box.id");
    const id = /[0-9a-f]{32}/.exec(JSON.stringify(outputs))![0];
    assert.match(JSON.stringify(await move(id, { value: true })), /not this way/);
    assert.match(JSON.stringify(await move(id, { value: false })), /off again/);
  });
});
