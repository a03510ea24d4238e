// `display()` and its family: what cells call to show something before their end, or more than once.
import { isPromise, platformName, randomId } from "#platform";
import type { MimeBundle } from "../../util/display.ts";
import type { PublishedType } from "../protocol/reference.ts";
import { bundleOf, imageType, portable, showsNothing } from "./show.ts";

/** How `display()` reaches the notebook: the kernel's runtime sets it. */
export interface DisplaySink {
  publish(msgType: PublishedType, content: Record<string, unknown>): void;
  /** Keeps the cell open until `promise` has settled, and fails the cell if it rejects. */
  hold(promise: Promise<unknown>): void;
}

let sink: DisplaySink | undefined;

/** Connects `display()` to a kernel. */
export function setDisplaySink(to: DisplaySink): void {
  sink = to;
}

export interface DisplayOptions {
  /** `value` is a MIME bundle already: `{ "text/html": "<b>bold</b>" }`. */
  raw?: boolean;
  /** A name for the output, by which it can be replaced. */
  display_id?: string;
  /** Replaces the outputs of that name instead of adding one. */
  update?: boolean;
  metadata?: Record<string, unknown>;
}

/** An output that has been shown and can be replaced. As a cell's result it shows nothing: its output is there. */
export class DisplayHandle {
  readonly id: string;
  constructor(id: string) {
    this.id = id;
  }
  /** Shows `value` in the place of what was shown. */
  update(value: unknown, options: Pick<DisplayOptions, "raw" | "metadata"> = {}): void {
    show(value, options, this.id, true);
  }
}

/**
 * Shows a value below the cell, as the cell's last expression would be shown.
 *
 * A value with a method `[Symbol.for("Jupyter.display")]()` answers its own MIME bundle (or a promise of one, which the
 * cell waits for). The handle that is returned can replace the output later, even from a timer or another cell.
 */
export function display(value: unknown, options: DisplayOptions = {}): DisplayHandle {
  const id = options.display_id ?? randomId();
  show(value, options, id, options.update === true);
  return new DisplayHandle(id);
}

function show(value: unknown, options: DisplayOptions, id: string, update: boolean): void {
  const to = sink;
  if (!to)
    throw new Error("display() shows things in a notebook: this program does not run in the slimlab kernel");
  const publish = (data: MimeBundle) => {
    if (showsNothing(data)) return;
    to.publish(update ? "update_display_data" : "display_data", {
      data,
      metadata: options.metadata ?? {},
      transient: { display_id: id },
    });
  };
  if (options.raw) {
    if (typeof value !== "object" || value === null) {
      throw new TypeError(`display(…, { raw: true }) takes a MIME bundle, got ${String(value)}`);
    }
    publish(portable(value as MimeBundle));
    return;
  }
  const bundle = isPromise(value) ? value.then(bundleOf) : bundleOf(value);
  if (isPromise(bundle)) to.hold(bundle.then((settled) => publish(settled as MimeBundle)));
  else publish(bundle as MimeBundle);
}

const one = (type: string) => (text: string) => display({ [type]: String(text) }, { raw: true });

/** Shows HTML. */
display.html = one("text/html");
/** Shows Markdown. */
display.markdown = one("text/markdown");
/** Shows LaTeX: `$e = mc^2$`. */
display.latex = one("text/latex");
/** Shows an SVG drawing. */
display.svg = one("image/svg+xml");
/** Shows text as it is. */
display.text = one("text/plain");
/** Runs JavaScript in the browser. */
display.javascript = one("application/javascript");
/** Shows a JSON value as a tree. */
display.json = (value: unknown) =>
  display({ "application/json": value, "text/plain": JSON.stringify(value) }, { raw: true });
/** Shows a PNG, JPEG, GIF or WebP image from its bytes. */
display.image = (bytes: Uint8Array) => {
  const type = imageType(bytes);
  if (!type) throw new TypeError("display.image takes the bytes of a PNG, JPEG, GIF or WebP image");
  return display({ [type]: bytes }, { raw: true });
};
/** Removes the cell's outputs; with `wait: true` when the next one comes, so that nothing flickers. */
display.clear = (options: { wait?: boolean } = {}) => {
  if (!sink) throw new Error("display.clear() works in the slimlab kernel");
  sink.publish("clear_output", { wait: options.wait === true });
};

/** The tslab package's API on top of this kernel, so that its notebooks run here. */
export function tslabModule(version: string, typescript: string): Record<string, unknown> {
  class Display {
    readonly #id: string | undefined;
    #shown = false;
    constructor(id?: string) {
      this.#id = id;
    }
    raw(type: string, content: string | Uint8Array): void {
      const options = { raw: true, display_id: this.#id, update: this.#shown };
      if (this.#id) this.#shown = true;
      display({ [type]: content }, options);
    }
    javascript(text: string): void {
      this.raw("text/javascript", text);
    }
    html(text: string): void {
      this.raw("text/html", text);
    }
    markdown(text: string): void {
      this.raw("text/markdown", text);
    }
    latex(text: string): void {
      this.raw("text/latex", text);
    }
    svg(text: string): void {
      this.raw("image/svg+xml", text);
    }
    png(bytes: Uint8Array): void {
      this.raw("image/png", bytes);
    }
    jpeg(bytes: Uint8Array): void {
      this.raw("image/jpeg", bytes);
    }
    gif(bytes: Uint8Array): void {
      this.raw("image/gif", bytes);
    }
    pdf(bytes: Uint8Array): void {
      this.raw("application/pdf", bytes);
    }
    text(text: string): void {
      this.raw("text/plain", text);
    }
  }
  const api = {
    display: new Display(),
    newDisplay: () => new Display(randomId()),
    versions: { tslab: version, typescript, [platformName]: globalThis.process?.version ?? "" },
  };
  return { ...api, default: api, __esModule: true };
}
