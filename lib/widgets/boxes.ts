// What holds other things: rows and columns of widgets, and an output that code can write into at any time.
import { bundleOf } from "../kernel/show/show.ts";
import { rethrow, Widget, type WidgetOptions } from "./widget.ts";

export interface BoxOptions extends WidgetOptions {
  children?: readonly Widget<never>[];
}

abstract class Box extends Widget<BoxOptions> {
  protected constructor(name: string, children: readonly Widget<never>[], options: WidgetOptions) {
    super(
      { package: "controls", model: `${name}Model`, view: `${name}View` },
      { children: [...children] },
      options,
    );
  }

  get children(): readonly Widget<never>[] {
    return this.read("children") as Widget<never>[];
  }
  set children(children: readonly Widget<never>[]) {
    this.write({ children: [...children] }).catch(rethrow);
  }

  protected override accept(name: string, value: unknown): unknown {
    if (name === "children") throw new TypeError("children are the kernel's to set");
    return value;
  }
}

/** Widgets side by side. */
export class HBox extends Box {
  constructor(children: readonly Widget<never>[] = [], options: WidgetOptions = {}) {
    super("HBox", children, options);
  }
}

/** Widgets one below the other. */
export class VBox extends Box {
  constructor(children: readonly Widget<never>[] = [], options: WidgetOptions = {}) {
    super("VBox", children, options);
  }
}

/** A place for outputs that code fills whenever it likes, from a listener or a timer too. */
export class Output extends Widget {
  constructor(options: WidgetOptions = {}) {
    super(
      { package: "output", model: "OutputModel", view: "OutputView" },
      { msg_id: "", outputs: [] },
      options,
    );
  }

  /** Adds a value, shown as a cell would show it. */
  async show(value: unknown): Promise<void> {
    const shown = await this.#outputOf(value);
    await this.write({ outputs: [...this.#outputs, shown] });
  }

  /** Shows a value in place of all that is there. */
  async replace(value: unknown): Promise<void> {
    await this.write({ outputs: [await this.#outputOf(value)] });
  }

  /** Adds text. */
  async print(text: string): Promise<void> {
    await this.write({ outputs: [...this.#outputs, { output_type: "stream", name: "stdout", text }] });
  }

  async clear(): Promise<void> {
    await this.write({ outputs: [] });
  }

  get #outputs(): object[] {
    return this.read("outputs") as object[];
  }

  async #outputOf(value: unknown): Promise<object> {
    return { output_type: "display_data", data: await bundleOf(value), metadata: {} };
  }
}
