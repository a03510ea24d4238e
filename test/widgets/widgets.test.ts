import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Comms } from "../../lib/kernel/protocol/comms.ts";
import { packageRoot } from "../../lib/util/files.ts";
import {
  Button,
  Checkbox,
  Dropdown,
  FloatSlider,
  HBox,
  HTML,
  IntSlider,
  Output,
  Progress,
  Text,
  VBox,
  type Widget,
} from "../../lib/widgets/index.ts";

type State = Record<string, unknown>;

interface Sent {
  type: string;
  id: string;
  data: State;
  metadata: State;
}

const display = Symbol.for("Jupyter.display") as unknown as "display";

// The kernel's own comms, with a list in the place of the sockets: what would go out, and a way for messages to come in.
describe("widgets", () => {
  let sent: Sent[];
  let comms: Comms;
  const holder = globalThis as { comms?: Comms };
  const before = holder.comms;
  beforeEach(() => {
    sent = [];
    comms = new Comms((type, content, metadata) => {
      sent.push({ type, id: content.comm_id, data: structuredClone(content.data), metadata });
    });
    holder.comms = comms;
  });
  after(() => {
    holder.comms = before;
  });

  const show = (widget: object) => (widget as { display(): State })[display as "display"]() as State;
  const receive = (widget: Widget<never>, data: State) =>
    comms.handle("comm_msg", { comm_id: widget.id, data }, {}, []) as Promise<void>;
  const updates = (widget: Widget<never>) =>
    sent.filter(({ id, data }) => id === widget.id && data.method === "update").map(({ data }) => data.state);

  it("open with the names, versions and defaults of Python's ipywidgets", async () => {
    const file = join(packageRoot, "test", "widgets", "fixtures", "states.json");
    const expected: Record<string, State> = JSON.parse(await readFile(file, "utf8"));
    const ours: Record<string, Widget<never>> = {
      IntSlider: new IntSlider(),
      FloatSlider: new FloatSlider(),
      Progress: new Progress(),
      Dropdown: new Dropdown({ options: ["a", "b"] }),
      Checkbox: new Checkbox(),
      Text: new Text(),
      HTML: new HTML(),
      Button: new Button(),
      HBox: new HBox(),
      VBox: new VBox(),
      Output: new Output(),
    };
    for (const [name, widget] of Object.entries(ours)) {
      sent.length = 0;
      const bundle = show(widget);
      assert.deepEqual(bundle["application/vnd.jupyter.widget-view+json"], {
        version_major: 2,
        version_minor: 0,
        model_id: widget.id,
      });
      const opened = sent.map(({ id, data, type, metadata }) => {
        assert.equal(type, "comm_open");
        assert.deepEqual(metadata, { version: "2.1.0" });
        return [id, data.state as State] as const;
      });
      const state = opened.at(-1)![1];
      for (const [id, part] of opened.slice(0, -1)) {
        // Its layout and its style were open before it named them.
        const key = Object.keys(state).find((key) => state[key] === `IPY_MODEL_${id}`)!;
        const theirs = expected[name][key] as State;
        for (const [field, value] of Object.entries(part))
          assert.deepEqual(value, theirs[field] ?? null, `${name}.${key}.${field}`);
        state[key] = theirs;
      }
      for (const [key, value] of Object.entries(state)) {
        assert.ok(key in expected[name], `${name} has no ${key}`);
        assert.deepEqual(value, expected[name][key], `${name}.${key}`);
      }
    }
  });

  it("put layout and style into the models that their state names, whatever the control", () => {
    const options = {
      layout: { width: "600px", border: "2px solid red", borderTop: "none" },
      style: { descriptionWidth: "initial" },
    };
    for (const widget of [
      new IntSlider(options),
      new FloatSlider(options),
      new Progress(options),
      new Checkbox(options),
      new Text(options),
      new HTML(options),
      new Button({ ...options, style: { buttonColor: "red" } }),
      new Dropdown({ ...options, options: ["a"] }),
      new VBox([], { layout: options.layout }),
    ]) {
      sent.length = 0;
      show(widget);
      const states = new Map(sent.map(({ id, data }) => [`IPY_MODEL_${id}`, data.state as State]));
      const { layout, style } = states.get(`IPY_MODEL_${widget.id}`)!;
      const { width, border_top, border_left, border } = states.get(String(layout))!;
      assert.deepEqual(
        [width, border_top, border_left, border],
        ["600px", "none", "2px solid red", undefined],
      );
      if (widget instanceof VBox) continue;
      const css = states.get(String(style))!;
      assert.equal(css._view_module, "@jupyter-widgets/base");
      assert.equal(css.description_width ?? css.button_color, widget instanceof Button ? "red" : "initial");
    }
  });

  it("tell the browser what the kernel sets, once, and the kernel what the browser moves", async () => {
    const slider = new IntSlider({ value: 3, max: 10, description: "bits" });
    const seen: unknown[] = [];
    slider.onChange(({ value, old }) => seen.push([old, value]));
    slider.value = 4; // Not open yet: nobody to tell.
    assert.equal(sent.length, 0);
    show(slider);
    assert.equal((sent.at(-1)!.data.state as State).value, 4);
    slider.value = 5;
    slider.value = 5;
    assert.deepEqual(updates(slider), [{ value: 5 }]);
    await receive(slider, { method: "update", state: { value: 7 }, buffer_paths: [] });
    assert.equal(slider.value, 7);
    assert.deepEqual(sent.at(-1)!.data, { method: "echo_update", state: { value: 7 }, buffer_paths: [] });
    assert.deepEqual(seen, [
      [3, 4],
      [4, 5],
      [5, 7],
    ]);
  });

  it("keep the browser's turn until a slow observer is done", async () => {
    const box = new Checkbox();
    show(box);
    let release = () => {};
    box.onChange(() => new Promise<void>((done) => (release = done)));
    let over = false;
    const turn = receive(box, { method: "update", state: { value: true } }).then(() => (over = true));
    await new Promise(setImmediate);
    assert.equal(over, false);
    release();
    await turn;
    assert.equal(box.value, true);
  });

  it("stop observing when told, and pass on what an observer throws", async () => {
    const slider = new FloatSlider();
    show(slider);
    let calls = 0;
    const stop = slider.observe("value", () => calls++);
    await receive(slider, { method: "update", state: { value: 0.5 } });
    stop();
    await receive(slider, { method: "update", state: { value: 0.6 } });
    assert.equal(calls, 1);
    slider.onChange(() => {
      throw new Error("mine");
    });
    await assert.rejects(receive(slider, { method: "update", state: { value: 0.7 } }), /mine/);
  });

  it("take nothing unfit from the browser: the old value goes back", async () => {
    const slider = new IntSlider({ value: 3, max: 10 });
    show(slider);
    for (const value of [11, 2.5, Number.NaN, "4", null, {}]) {
      await receive(slider, {
        method: "update",
        state: { value, _model_name: "Evil", layout: "x", more: 1 },
      });
      assert.equal(slider.value, 3);
      assert.deepEqual(sent.at(-1)!.data, { method: "update", state: { value: 3 }, buffer_paths: [] });
    }
    const menu = new Dropdown({ options: ["a"] });
    show(menu);
    await receive(menu, { method: "update", state: { index: 5, _options_labels: ["z"] } });
    assert.equal(menu.value, "a");
    await receive(slider, {});
    await receive(slider, { method: "update" });
    assert.equal(slider.value, 3);
  });

  it("say what they do not take", () => {
    assert.throws(
      () => new IntSlider({ value: 20, max: 10 }),
      /value must be a whole number from 0 to 10, got 20/,
    );
    assert.throws(() => new IntSlider({ min: 5, max: 2 }), /max must be a whole number from 5/);
    assert.throws(() => new IntSlider({ step: 0.5 }), /step must be a whole number of at least 1, got 0.5/);
    assert.throws(
      () => new FloatSlider({ value: Number.NaN }),
      /value must be a number from 0 to 1, got NaN/,
    );
    assert.throws(() => {
      new FloatSlider().value = 2;
    }, /value must be a number from 0 to 1, got 2/);
    assert.throws(() => new Dropdown({ options: [] }), /at least one choice/);
    assert.throws(() => new Dropdown({ options: ["a"], value: "b" }), /one of the 1 options, got "b"/);
    assert.throws(() => new Checkbox({ value: 1 as unknown as boolean }), /true or false, got 1/);
    assert.throws(() => new Text({ value: 1 as unknown as string }), /must be a string, got 1/);
    holder.comms = undefined;
    assert.throws(() => show(new Text()), /does not run in the slimlab kernel/);
  });

  it("take their value along when limits narrow", () => {
    const slider = new FloatSlider({ value: 0.9 });
    show(slider);
    slider.set({ max: 0.5, readoutFormat: ".1f" });
    assert.deepEqual([slider.value, slider.max], [0.5, 0.5]);
    assert.deepEqual(updates(slider), [{ max: 0.5, readout_format: ".1f", value: 0.5 }]);
    assert.throws(() => slider.set({ value: 0.8 }), /from 0 to 0.5/);
    assert.throws(() => slider.set({ min: 0.6 }), /max must be a number from 0.6/);
  });

  it("choose among things of any type by their labels", async () => {
    const menu = new Dropdown({ options: { one: 1, two: 2 }, value: 2 });
    show(menu);
    const state = sent.at(-1)!.data.state as State;
    assert.deepEqual([state._options_labels, state.index], [["one", "two"], 1]);
    let chosen: number = 0;
    menu.onChange(({ value }) => (chosen = value));
    await receive(menu, { method: "update", state: { index: 0 } });
    assert.equal(chosen, 1);
    menu.value = 2;
    assert.deepEqual(updates(menu), [{ index: 1 }]);
  });

  it("press, nest and hold outputs", async () => {
    const button = new Button({ description: "Train" });
    const output = new Output();
    let pressed = 0;
    button.onClick(() => pressed++);
    const box = new VBox([button, output]);
    show(box);
    const order = sent.map(({ id }) => id);
    assert.equal(order.at(-1), box.id);
    assert.ok(order.includes(button.id) && order.includes(output.id));
    assert.deepEqual((sent.at(-1)!.data.state as State).children, [
      `IPY_MODEL_${button.id}`,
      `IPY_MODEL_${output.id}`,
    ]);
    await receive(button, { method: "custom", content: { event: "click" } });
    assert.equal(pressed, 1);
    await output.print("hello\n");
    await output.show({ [Symbol.for("Jupyter.display")]: () => ({ "text/html": "<b>x</b>" }) });
    await output.replace(5);
    assert.deepEqual(updates(output), [
      { outputs: [{ output_type: "stream", name: "stdout", text: "hello\n" }] },
      {
        outputs: [
          { output_type: "stream", name: "stdout", text: "hello\n" },
          { output_type: "display_data", data: { "text/html": "<b>x</b>" }, metadata: {} },
        ],
      },
      { outputs: [{ output_type: "display_data", data: { "text/plain": "5" }, metadata: {} }] },
    ]);
    const late = new Text({ value: "late" });
    box.children = [late];
    const opened = sent.findIndex(({ id, type }) => id === late.id && type === "comm_open");
    const named = sent.findIndex(({ id, data }) => id === box.id && data.method === "update");
    assert.ok(opened >= 0 && opened < named, "a child opens before the box names it");
  });

  it("come back for a page that is loaded again, and go when closed", async () => {
    const slider = new IntSlider({ value: 9 });
    const closed = new IntSlider();
    show(slider);
    show(closed);
    closed.close();
    assert.equal(sent.at(-1)!.type, "comm_close");
    assert.throws(() => show(closed), /closed/);
    await receive(slider, { method: "request_state" });
    assert.equal((updates(slider).at(-1) as State).value, 9);

    comms.handle(
      "comm_open",
      { comm_id: "control", target_name: "jupyter.widget.control", data: {} },
      {},
      [],
    );
    await comms.handle("comm_msg", { comm_id: "control", data: { method: "request_states" } }, {}, []);
    const answer = sent.at(-1)!;
    assert.equal(answer.id, "control");
    assert.equal(answer.data.method, "update_states");
    const states = answer.data.states as Record<string, State>;
    assert.equal(states[closed.id], undefined);
    assert.equal(states[slider.id].model_name, "IntSliderModel");
    assert.equal((states[slider.id].state as State).value, 9);
  });
});
