// The controls that teaching needs: each takes options, has a typed value, and is observed.
import { checkInteger, checkNumber, shown } from "../util/check.ts";
import {
  type Change,
  rethrow,
  type Stop,
  type StyleOptions,
  snakeKeys,
  styleModel,
  Widget,
  type WidgetOptions,
} from "./widget.ts";

/** What every control takes. */
export interface ControlOptions extends WidgetOptions {
  /** The label beside it. */
  description?: string;
  /** Shown while the pointer rests on it. */
  tooltip?: string;
  disabled?: boolean;
  style?: StyleOptions;
}

/** A change of a control's value. */
export interface ValueChange<T> {
  value: T;
  old: T;
}

abstract class Control<T, Options extends ControlOptions> extends Widget<Options> {
  protected constructor(name: string, style: string, state: object, options: ControlOptions) {
    const { layout, style: css, ...rest } = options;
    super(
      {
        package: "controls",
        model: `${name}Model`,
        view: `${name === "FloatProgress" ? "Progress" : name}View`,
      },
      {
        style: styleModel(style, css),
        ...snakeKeys({ ...state, ...rest }),
      },
      { layout },
    );
  }

  /** What it stands at; setting it moves it in every view. */
  get value(): T {
    return this.read("value") as T;
  }
  set value(value: T) {
    this.write({ value: this.accept("value", value) }).catch(rethrow);
  }

  /** Calls `listener` with each new value; returns a function that stops it. */
  onChange(listener: (change: ValueChange<T>) => unknown): Stop {
    return this.observe("value", ({ value, old }: Change) => listener({ value: value as T, old: old as T }));
  }
}

export interface RangeOptions extends ControlOptions {
  value?: number;
  min?: number;
  max?: number;
}

export interface SliderOptions extends RangeOptions {
  step?: number;
  orientation?: "horizontal" | "vertical";
  /** Whether the number stands beside the slider, and how: a d3 format such as `.2f` or `.0%`. */
  readout?: boolean;
  readoutFormat?: string;
  /** Whether the value follows the hand (the default), or waits until it lets go. */
  continuousUpdate?: boolean;
}

type Check = (name: string, value: number, min: number, max: number) => number;
const { MIN_SAFE_INTEGER: lowest, MAX_SAFE_INTEGER: highest } = Number;

/** A number between two others. */
abstract class Ranged<Options extends RangeOptions> extends Control<number, Options> {
  readonly #check: Check;

  protected constructor(
    name: string,
    style: string,
    defaults: { min: number; max: number },
    options: RangeOptions,
    check: Check,
  ) {
    const min = check("min", options.min ?? defaults.min, lowest, highest);
    const max = check("max", options.max ?? Math.max(defaults.max, min), min, highest);
    const value = check("value", options.value ?? Math.min(Math.max(0, min), max), min, max);
    const { layout, style: css, ...rest } = options;
    super(name, style, { ...defaults, ...rest, min, max, value }, { layout, style: css });
    this.#check = check;
  }

  get min(): number {
    return this.read("min") as number;
  }
  get max(): number {
    return this.read("max") as number;
  }

  override set(options: Partial<Omit<Options, "layout" | "style">>): void {
    const { min = this.min, max = this.max, value = this.value } = options as RangeOptions;
    this.#check("max", max, this.#check("min", min, lowest, highest), highest);
    // Narrower limits take the value along.
    const fit = (options as RangeOptions).value === undefined ? Math.min(Math.max(value, min), max) : value;
    this.#check("value", fit, min, max);
    this.write({ ...snakeKeys(options), value: fit }).catch(rethrow);
  }

  protected override accept(name: string, value: unknown): unknown {
    return name === "value" ? this.#check("value", value as number, this.min, this.max) : value;
  }
}

/** A slider over whole numbers, from 0 to 100 by 1. */
export class IntSlider extends Ranged<SliderOptions> {
  constructor(options: SliderOptions = {}) {
    checkInteger("step", options.step ?? 1, 1);
    super(
      "IntSlider",
      "Slider",
      { min: 0, max: 100, ...{ step: 1, readoutFormat: "d" } },
      options,
      checkInteger,
    );
  }
}

/** A slider over numbers, from 0 to 1 by 0.01. */
export class FloatSlider extends Ranged<SliderOptions> {
  constructor(options: SliderOptions = {}) {
    checkNumber("step", options.step ?? 0.01, Number.MIN_VALUE);
    super(
      "FloatSlider",
      "Slider",
      { min: 0, max: 1, ...{ step: 0.01, readoutFormat: ".2f" } },
      options,
      checkNumber,
    );
  }
}

export interface ProgressOptions extends RangeOptions {
  barStyle?: "" | "success" | "info" | "warning" | "danger";
  orientation?: "horizontal" | "vertical";
}

/** A bar that fills, from 0 to 1. */
export class Progress extends Ranged<ProgressOptions> {
  constructor(options: ProgressOptions = {}) {
    super("FloatProgress", "Progress", { min: 0, max: 1 }, options, checkNumber);
  }
}

export interface CheckboxOptions extends ControlOptions {
  value?: boolean;
  /** Whether it stands in line with controls that have a label on their left. */
  indent?: boolean;
}

/** A box to tick. */
export class Checkbox extends Control<boolean, CheckboxOptions> {
  constructor(options: CheckboxOptions = {}) {
    super("Checkbox", "Checkbox", { value: false }, options);
    this.accept("value", this.value);
  }

  protected override accept(name: string, value: unknown): unknown {
    if (name !== "value" || typeof value === "boolean") return value;
    throw new TypeError(`value must be true or false, got ${shown(value)}`);
  }
}

export interface TextOptions extends ControlOptions {
  value?: string;
  placeholder?: string;
  /** Whether the value follows each key (the default), or waits for Enter. */
  continuousUpdate?: boolean;
}

/** A line to write in. */
export class Text extends Control<string, TextOptions> {
  constructor(options: TextOptions = {}) {
    super("Text", "Text", { value: "" }, options);
    this.accept("value", this.value);
  }

  protected override accept(name: string, value: unknown): unknown {
    return name === "value" ? checkText(value) : value;
  }
}

export interface HtmlOptions extends Omit<ControlOptions, "disabled"> {
  value?: string;
}

/** A piece of HTML that can be replaced. */
export class HTML extends Control<string, HtmlOptions> {
  constructor(options: HtmlOptions | string = {}) {
    super(
      "HTML",
      "HTML",
      { value: "" },
      typeof options === "string" ? ({ value: options } as HtmlOptions) : options,
    );
    this.accept("value", this.value);
  }

  protected override accept(name: string, value: unknown): unknown {
    return name === "value" ? checkText(value) : value;
  }
}

function checkText(value: unknown): string {
  if (typeof value === "string") return value;
  throw new TypeError(`value must be a string, got ${shown(value)}`);
}

export interface ButtonOptions extends ControlOptions {
  buttonStyle?: "" | "primary" | "success" | "info" | "warning" | "danger";
  /** A Font Awesome name, such as `check`. */
  icon?: string;
}

/** A button to press. */
export class Button extends Widget<ButtonOptions> {
  readonly #listeners = new Set<() => unknown>();

  constructor(options: ButtonOptions = {}) {
    const { layout, style, ...rest } = options;
    super(
      { package: "controls", model: "ButtonModel", view: "ButtonView" },
      {
        style: styleModel("Button", style),
        ...snakeKeys(rest),
      },
      { layout },
    );
  }

  /** Calls `listener` at each press; returns a function that stops it. */
  onClick(listener: () => unknown): Stop {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  protected override async custom(content: Record<string, unknown>): Promise<void> {
    if (content.event === "click") await Promise.all([...this.#listeners].map((listener) => listener()));
  }
}

/** Choices: their labels, or what each label stands for. */
export type Choices<T> = readonly T[] | Readonly<Record<string, T>>;

export interface DropdownOptions<T> extends ControlOptions {
  options: Choices<T>;
  /** What is chosen at first: by default the first option. */
  value?: T;
}

/** One of several, from a list that opens: `new Dropdown({ options: ["global", "layer"] })`. */
export class Dropdown<T> extends Widget<ControlOptions> {
  #values: readonly T[];

  constructor(options: DropdownOptions<T>) {
    const { options: choices, value, layout, style, ...rest } = options;
    const { labels, values } = listed(choices);
    super(
      { package: "controls", model: "DropdownModel", view: "DropdownView" },
      {
        style: styleModel("Description", style),
        _options_labels: labels,
        index: value === undefined ? 0 : indexIn(values, value),
        ...snakeKeys(rest),
      },
      { layout },
    );
    this.#values = values;
  }

  /** The option that is chosen. */
  get value(): T {
    return this.#values[this.read("index") as number];
  }
  set value(value: T) {
    this.write({ index: indexIn(this.#values, value) }).catch(rethrow);
  }

  /** Calls `listener` with each new choice; returns a function that stops it. */
  onChange(listener: (change: ValueChange<T>) => unknown): Stop {
    return this.observe("index", ({ value, old }: Change) =>
      listener({ value: this.#values[value as number], old: this.#values[old as number] }),
    );
  }

  protected override accept(name: string, value: unknown): unknown {
    if (name === "index") return checkInteger("index", value as number, 0, this.#values.length - 1);
    if (name === "_options_labels") throw new TypeError("the options are the kernel's to set");
    return value;
  }

  override toString(): string {
    return `Dropdown(value=${JSON.stringify((this.read("_options_labels") as string[])[this.read("index") as number])})`;
  }
}

function listed<T>(choices: Choices<T>): { labels: string[]; values: readonly T[] } {
  const isList = Array.isArray(choices);
  const values: readonly T[] = isList ? choices : Object.values(choices);
  if (values.length === 0) throw new RangeError("options must name at least one choice, got none");
  return { labels: isList ? values.map(String) : Object.keys(choices), values };
}

function indexIn<T>(values: readonly T[], value: T): number {
  const index = values.findIndex((option) => Object.is(option, value));
  if (index >= 0) return index;
  throw new RangeError(`value must be one of the ${values.length} options, got ${shown(value)}`);
}
