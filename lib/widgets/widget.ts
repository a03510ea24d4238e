// Jupyter's widget protocol (version 2) over the kernel's comms: a widget is a named state that the kernel and every
// view of it keep equal. https://jupyter-widgets.readthedocs.io calls this "low level widget messages".
import { randomId } from "#platform";
import type { Comm, Comms } from "../kernel/protocol/comms.ts";
import { display } from "../util/display.ts";

const protocolVersion = "2.1.0";
const viewMime = "application/vnd.jupyter.widget-view+json";
const packages = { base: "2.0.0", controls: "2.0.0", output: "1.0.0" };

/** CSS of a widget's box: `{ width: "20em", margin: "0 0 1em" }`. */
export interface LayoutOptions {
  width?: string;
  height?: string;
  minWidth?: string;
  maxWidth?: string;
  margin?: string;
  padding?: string;
  /** All four sides at once; a side's own option comes before it. */
  border?: string;
  borderTop?: string;
  borderRight?: string;
  borderBottom?: string;
  borderLeft?: string;
  display?: string;
  visibility?: string;
  overflow?: string;
  flexFlow?: string;
  alignItems?: string;
  justifyContent?: string;
  alignSelf?: string;
  flex?: string;
}

/** Colours and fonts inside a control; which of them it knows depends on the control. */
export interface StyleOptions {
  descriptionWidth?: string;
  handleColor?: string;
  barColor?: string;
  buttonColor?: string;
  textColor?: string;
  fontSize?: string;
}

/** What every widget takes. */
export interface WidgetOptions {
  layout?: LayoutOptions;
}

/** One value of a widget that has become another. */
export interface Change {
  name: string;
  value: unknown;
  old: unknown;
}

/** The names by which the browser's side knows a widget. */
interface Kind {
  package: keyof typeof packages;
  model: string;
  view: string;
  /** Where the view is, if not where the model is. */
  viewPackage?: keyof typeof packages;
}

type State = Record<string, unknown>;

function comms(): Comms {
  const found = (globalThis as { comms?: Comms }).comms;
  if (!found) throw new Error("widgets show in a notebook: this program does not run in the slimlab kernel");
  return found;
}

/** `continuousUpdate` as the protocol writes it, `continuous_update`. */
export function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A record's keys as the protocol writes them; what is undefined is left to the browser's default. */
export function snakeKeys(options: object): State {
  return Object.fromEntries(
    Object.entries(options)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [snake(name), value]),
  );
}

/** A state that the browser mirrors: what a widget, its layout and its style have in common. */
export class Model {
  readonly id: string = randomId().replaceAll("-", "");
  readonly #kind: Kind;
  readonly #state: State;
  #comm: Comm | undefined;
  #closed = false;

  constructor(kind: Kind, state: State) {
    this.#kind = kind;
    this.#state = state;
  }

  /** The state with the names that the browser needs to make its side. */
  get fullState(): State {
    const { package: name, model, view, viewPackage = name } = this.#kind;
    return {
      _model_module: `@jupyter-widgets/${name}`,
      _model_module_version: packages[name],
      _model_name: model,
      _view_module: `@jupyter-widgets/${viewPackage}`,
      _view_module_version: packages[viewPackage],
      _view_name: view,
      ...serialized(this.#state),
    };
  }

  /** Opens the widget's comm, and first those of the models that its state names. */
  open(): void {
    if (this.#closed) throw new Error("this widget was closed: make a new one");
    if (this.#comm) return;
    for (const value of Object.values(this.#state).flat()) if (value instanceof Model) value.open();
    const manager = comms();
    answerReloads(manager);
    this.#comm = manager.open(
      "jupyter.widget",
      { state: this.fullState, buffer_paths: [] },
      { id: this.id, metadata: { version: protocolVersion } },
    );
    this.#comm.onMessage = ({ data }) => this.#receive(data);
    live.add(this);
    this.#comm.onClose = () => {
      live.delete(this);
      this.#comm = undefined;
    };
  }

  /** Removes the widget from every view. */
  close(): void {
    this.#closed = true;
    live.delete(this);
    this.#comm?.close();
    this.#comm = undefined;
  }

  protected read(name: string): unknown {
    return this.#state[name];
  }

  /** Sets values and tells the browser; resolves when those who observe them are done. */
  protected write(values: State): Promise<void> {
    const changes = this.#assign(values);
    if (changes.length === 0) return Promise.resolve();
    for (const { value } of changes) {
      // A widget that is open may be given a child that is not.
      if (this.#comm) for (const item of [value].flat()) if (item instanceof Model) item.open();
    }
    this.#comm?.send({
      method: "update",
      state: serialized(Object.fromEntries(changes.map(({ name, value }) => [name, value]))),
      buffer_paths: [],
    });
    return this.changed(changes);
  }

  /** A value as it may be kept: throws, or returns it made fit. Values from the browser pass here too. */
  protected accept(_name: string, value: unknown): unknown {
    return value;
  }

  /** Called with what has changed, on either side. */
  protected async changed(_changes: Change[]): Promise<void> {}

  /** Called with a message of the widget's own, such as a click. */
  protected async custom(_content: State): Promise<void> {}

  #assign(values: State): Change[] {
    const changes: Change[] = [];
    for (const [name, value] of Object.entries(values)) {
      const old = this.#state[name];
      if (Object.is(old, value)) continue;
      this.#state[name] = value;
      changes.push({ name, value, old });
    }
    return changes;
  }

  // The promise keeps the kernel busy for the browser until the work is done, and while it is busy the browser sends
  // only the newest value: a slow chart follows a fast hand without falling behind.
  async #receive(data: State): Promise<void> {
    if (data.method === "request_state") {
      this.#comm?.send({ method: "update", state: this.fullState, buffer_paths: [] });
    } else if (data.method === "custom") {
      await this.custom((data.content ?? {}) as State);
    } else if (data.method === "update") {
      const sent = (data.state ?? {}) as State;
      // Other views of the widget hear of it by this echo.
      this.#comm?.send({ method: "echo_update", state: sent, buffer_paths: [] });
      const fit: State = {};
      for (const [name, value] of Object.entries(sent)) {
        if (!(name in this.#state) || this.#state[name] instanceof Model) continue;
        try {
          fit[name] = this.accept(name, value);
        } catch {
          fit[name] = this.#state[name];
        }
      }
      const mended = Object.keys(fit).filter((name) => !Object.is(fit[name], sent[name]));
      const changes = this.#assign(fit);
      if (mended.length > 0) {
        const state = serialized(Object.fromEntries(mended.map((name) => [name, fit[name]])));
        this.#comm?.send({ method: "update", state, buffer_paths: [] });
      }
      if (changes.length > 0) await this.changed(changes);
    }
  }
}

/** Models with an open comm: what a page that is loaded again asks for. */
const live = new Set<Model>();
let answering: Comms | undefined;

function answerReloads(manager: Comms): void {
  if (answering === manager) return;
  answering = manager;
  manager.register("jupyter.widget.control", (comm) => {
    comm.onMessage = ({ data }) => {
      if (data.method !== "request_states") return;
      const states = Object.fromEntries(
        [...live].map((model) => {
          const { _model_name, _model_module, _model_module_version, ...rest } = model.fullState;
          const names = {
            model_name: _model_name,
            model_module: _model_module,
            model_module_version: _model_module_version,
          };
          return [
            model.id,
            { ...names, state: { _model_name, _model_module, _model_module_version, ...rest } },
          ];
        }),
      );
      comm.send({ method: "update_states", states, buffer_paths: [] });
    };
  });
}

function serialized(state: State): State {
  const plain = (value: unknown): unknown => {
    if (value instanceof Model) return `IPY_MODEL_${value.id}`;
    return Array.isArray(value) ? value.map(plain) : value;
  };
  return Object.fromEntries(Object.entries(state).map(([name, value]) => [name, plain(value)]));
}

/** A control's style: its model is the control's, its view is the same for all. */
export function styleModel(name: string, style: StyleOptions = {}): Model {
  return new Model(
    { package: "controls", model: `${name}StyleModel`, view: "StyleView", viewPackage: "base" },
    snakeKeys(style),
  );
}

/** CSS's `border` is four to the browser's model, one for each side. */
function layoutState({ border, ...rest }: LayoutOptions): State {
  const sides = { borderTop: border, borderRight: border, borderBottom: border, borderLeft: border };
  return snakeKeys({ ...sides, ...rest });
}

/** How to stop observing. */
export type Stop = () => void;

/** What a notebook shows: a control, a box of them, or an output. */
export abstract class Widget<Options extends WidgetOptions = WidgetOptions> extends Model {
  readonly #name: string;
  readonly #observers: { name: string | undefined; listener: (change: Change) => unknown }[] = [];

  protected constructor(kind: Kind, state: State, options: WidgetOptions) {
    super(kind, {
      layout: new Model(
        { package: "base", model: "LayoutModel", view: "LayoutView" },
        layoutState(options.layout ?? {}),
      ),
      ...state,
    });
    this.#name = kind.model.replace(/Model$/, "");
  }

  /** Changes options of a widget, in every view: `slider.set({ max: 20 })`. */
  set(options: Partial<Omit<Options, "layout" | "style">>): void {
    this.write(this.acceptAll(snakeKeys(options))).catch(rethrow);
  }

  /**
   * Calls `listener` with each change of the value named, or of any; a promise that it returns is waited for.
   *
   * @returns a function that stops it
   */
  observe(listener: (change: Change) => unknown): Stop;
  observe(name: string, listener: (change: Change) => unknown): Stop;
  observe(
    nameOrListener: string | ((change: Change) => unknown),
    listener?: (change: Change) => unknown,
  ): Stop {
    const observer =
      typeof nameOrListener === "string"
        ? { name: nameOrListener, listener: listener! }
        : { name: undefined, listener: nameOrListener };
    this.#observers.push(observer);
    return () => {
      const at = this.#observers.indexOf(observer);
      if (at >= 0) this.#observers.splice(at, 1);
    };
  }

  protected acceptAll(state: State): State {
    return Object.fromEntries(Object.entries(state).map(([name, value]) => [name, this.accept(name, value)]));
  }

  protected override async changed(changes: Change[]): Promise<void> {
    const calls: unknown[] = [];
    for (const change of changes) {
      for (const { name, listener } of [...this.#observers]) {
        if (name === undefined || name === change.name) calls.push(listener(change));
      }
    }
    await Promise.all(calls);
  }

  [display](): Record<string, unknown> {
    this.open();
    return {
      [viewMime]: { version_major: 2, version_minor: 0, model_id: this.id },
      "text/plain": String(this),
    };
  }

  override toString(): string {
    const value = this.read("value");
    return `${this.#name}(${value === undefined ? "" : `value=${JSON.stringify(value)}`})`;
  }
}

/** An error of a listener belongs to nobody who waits: the kernel shows it as an unhandled one. */
export function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
