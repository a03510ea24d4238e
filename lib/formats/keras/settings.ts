// A layer's settings as Keras writes them, whatever its version: numbers or lists of them, names or objects with a name.
import { shown } from "../../util/check.ts";

type Entry = Record<string, unknown>;

export const isEntry = (value: unknown): value is Entry =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** One object of Keras in JSON: a layer, a model, an initializer. */
export interface KerasEntry {
  class_name: string;
  module?: unknown;
  config: Entry;
  inbound_nodes?: unknown;
  build_config?: unknown;
}

/** Throws a RangeError unless it is an object of Keras. */
export function checkEntry(value: unknown, what: string): KerasEntry {
  if (isEntry(value) && typeof value.class_name === "string") {
    // Before 2.2 a Sequential was the list of its layers.
    if (Array.isArray(value.config))
      return { class_name: value.class_name, config: { layers: value.config } };
    if (isEntry(value.config)) return value as unknown as KerasEntry;
  }
  throw new RangeError(`${what} must have a class_name and a config, got ${shown(value)}`);
}

export class Settings {
  readonly #all: Entry;

  constructor(all: Entry) {
    this.#all = all;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#all, name) && this.#all[name] !== null;
  }
  raw(name: string): unknown {
    return Object.hasOwn(this.#all, name) ? this.#all[name] : undefined;
  }
  flag(name: string, fallback: boolean): boolean {
    return this.has(name) ? this.raw(name) === true : fallback;
  }
  number(name: string, fallback?: number): number {
    const value = this.has(name) ? this.raw(name) : fallback;
    if (typeof value !== "number" || !Number.isFinite(value))
      throw new RangeError(`${name} must be a number, got ${shown(value)}`);
    return value;
  }
  whole(name: string, fallback?: number): number {
    const value = this.number(name, fallback);
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`${name} must be a whole number of at least 1, got ${value}`);
    return value;
  }
  text(name: string, fallback: string): string {
    const value = this.has(name) ? this.raw(name) : fallback;
    if (typeof value !== "string") throw new RangeError(`${name} must be a text, got ${shown(value)}`);
    return value;
  }
  /** Whole numbers, one for each of so many axes: one number stands for all. */
  sizes<N extends number>(name: string, axes: N, fallback?: number): number[] & { length: N } {
    const value = this.has(name) ? this.raw(name) : fallback;
    const list = Array.isArray(value) ? value : new Array(axes).fill(value);
    if (list.length !== axes || !list.every((n) => Number.isSafeInteger(n) && n >= 1))
      throw new RangeError(`${name} must be ${axes} whole numbers of at least 1, got ${said(value)}`);
    return list as number[] & { length: N };
  }
  /** The numbers of two sides for each of so many axes: n, [n, m], [[a, b], [c, d]]. */
  sides(name: string, axes: number): [number, number][] {
    const value = this.raw(name);
    const list = axes === 1 && Array.isArray(value) && !Array.isArray(value[0]) ? [value] : value;
    const all = Array.isArray(list) ? list : new Array(axes).fill(list);
    const sides = all.map((side) => (Array.isArray(side) ? side : [side, side]));
    const fits = (side: unknown[]) =>
      side.length === 2 && side.every((n) => Number.isSafeInteger(n) && Number(n) >= 0);
    if (sides.length !== axes || !sides.every(fits))
      throw new RangeError(`${name} must be numbers for ${axes} axes, got ${said(value)}`);
    return sides as [number, number][];
  }
  /** The name of an activation: it may be an object with a name. */
  activation(name = "activation"): string {
    const value = this.raw(name);
    if (value === undefined || value === null) return "linear";
    if (typeof value === "string") return value;
    if (isEntry(value)) {
      if (typeof value.config === "string") return value.config;
      if (
        isEntry(value.config) &&
        typeof value.config.name === "string" &&
        Object.keys(value.config).length === 1
      )
        return value.config.name;
      throw new RangeError(`${name} ${shown(value.class_name)} with settings is not supported`);
    }
    throw new RangeError(`${name} must be a name, got ${shown(value)}`);
  }
  /** The axis that a layer works along, of which only the last is supported. */
  lastAxis(name: string, rank: number): void {
    const axes = [this.raw(name) ?? -1].flat();
    if (axes.length !== 1 || (axes[0] !== -1 && axes[0] !== rank))
      throw new RangeError(
        `${name} ${said(this.raw(name))} of ${rank} axes is not supported, only the last one`,
      );
  }
  /** Throws a RangeError for settings that no layer here has. */
  only(allowed: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(allowed))
      if (this.has(name) && JSON.stringify(this.raw(name)) !== JSON.stringify(value))
        throw new RangeError(`${name} ${said(this.raw(name))} is not supported`);
  }
}

/** A setting as messages show it. */
export function said(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
