// An ONNX file while it is read: each value, held with channels last where that spares turning it, and what readers ask.
import { shown } from "../../util/check.ts";
import { elements } from "../../util/shape.ts";
import { refuse } from "../error.ts";
import { type Constant, NetworkBuilder } from "../import/builder.ts";
import * as to from "../import/operators.ts";
import { permuted } from "../network.ts";
import { folds, type Known, numbersOf } from "./constants.ts";
import type { OnnxModel, OnnxNode, OnnxValue } from "./model.ts";

/** A value that flows: `image` where the file has [batch, channels, high, wide] and the network channels last. */
export interface Flow {
  tensor: string;
  image: boolean;
  /** Rows of an image laid out in our order, where the file's is channels first: the next kernel's rows are turned. */
  rows?: { from: string };
}

export type Value = Flow | { known: Known };

export type Reader = (node: OnnxNode, file: Reading) => Value | Value[];

/** A file while its nodes are read, one after the other: what its values have become. */
export class Reading {
  readonly builder: NetworkBuilder;
  readonly opset: number;
  readonly #file: string;
  readonly #model: OnnxModel;
  readonly #readers: Record<string, Reader>;
  readonly #values = new Map<string, Value>();

  /** @param readers what reads each operator */
  constructor(file: string, model: OnnxModel, opset: number, readers: Record<string, Reader>) {
    this.#readers = readers;
    this.#file = file;
    this.#model = model;
    this.opset = opset;
    this.builder = new NetworkBuilder(file);
    for (const tensor of model.initializers) this.#values.set(tensor.name, { known: numbersOf(tensor) });
  }

  input({ name, type, shape }: OnnxValue, given: readonly number[] | undefined): void {
    if (type !== "FLOAT" && type !== "FLOAT16")
      refuse(this.#file, `input ${shown(name)} is of ${type}: numbers in floats are expected`);
    if (shape.length < 2)
      refuse(this.#file, `input ${shown(name)} has shape [${shape}]: the batch first is expected`);
    const said = `[${shape.map((size) => size ?? "?").join(", ")}]`;
    const fixed = shape.slice(1).map((size) => (typeof size === "number" && size > 0 ? size : undefined));
    if (given && (given.length !== fixed.length || fixed.some((size, i) => (size ?? given[i]) !== given[i])))
      throw new RangeError(
        `sizes of ${shown(name)} must be as the file has them behind the batch, ${said}, got ${given.join("x")}`,
      );
    const own = fixed.map((size, i) => size ?? given?.[i] ?? 0);
    if (own.some((size) => !(Number.isInteger(size) && size > 0)))
      refuse(
        this.#file,
        `input ${shown(name)} has sizes that are not fixed, ${said}: they must be given (--input ${name}=${fixed.map((size) => size ?? 32).join("x")}, inputShapes)`,
      );
    const image = own.length === 3 && !this.#turned(name);
    const tensor = this.builder.input(name, image ? [own[1], own[2], own[0]] : own);
    if (image)
      this.builder.notes.add(
        `input ${name} has channels last in the network: [${own[1]}, ${own[2]}, ${own[0]}]`,
      );
    this.#values.set(name, { tensor, image });
  }

  /** Whether an input has channels last in the file: it is turned before anything looks at its places. */
  #turned(name: string): boolean {
    const simple = ["Mul", "Add", "Sub", "Div", "Cast", "Identity", "QuantizeLinear", "DequantizeLinear"];
    const open = [name];
    const seen = new Set(open);
    for (let at = open.pop(); at !== undefined; at = open.pop())
      for (const { op, inputs, outputs, attributes } of this.#model.nodes) {
        if (inputs[0] !== at && inputs[1] !== at) continue;
        if (op === "Transpose" && String(attributes.perm) === "0,3,1,2") return true;
        if (!simple.includes(op)) continue;
        for (const output of outputs) {
          if (!seen.has(output)) open.push(output);
          seen.add(output);
        }
      }
    return false;
  }

  allKnown(node: OnnxNode): boolean {
    return node.inputs.every((name) => name === "" || "known" in (this.#values.get(name) ?? {}));
  }

  read(node: OnnxNode): void {
    const fold = node.domain === "" && Object.hasOwn(folds, node.op) ? folds[node.op] : undefined;
    const given = () =>
      node.inputs.map((name) =>
        name === "" ? undefined : (this.#values.get(name) as { known: Known }).known,
      );
    const known = fold && node.inputs.length > 0 && this.allKnown(node);
    const result = guarded((): Value | Value[] =>
      known
        ? [fold(given() as Known[], node)].flat().map((value) => ({ known: value }))
        : this.#readers[node.op](node, this),
    );
    const values = [result].flat();
    for (const [i, name] of node.outputs.entries()) {
      if (name === "") continue;
      if (this.#values.has(name)) throw new RangeError(`${shown(name)} is written twice`);
      if (values[i]) this.#values.set(name, values[i]);
    }
  }

  value(name: string | undefined): Value {
    const value = name === undefined || name === "" ? undefined : this.#values.get(name);
    if (!value)
      throw new RangeError(name ? `${shown(name)} is read before it is written` : "an input is missing");
    return value;
  }

  flow(name: string): Flow {
    const value = this.value(name);
    if ("known" in value) throw new RangeError(`${shown(name)} is a constant where a value is expected`);
    return value;
  }

  known(name: string): Known {
    const value = this.value(name);
    if (!("known" in value)) throw new RangeError(`${shown(name)} is computed where a constant is expected`);
    return value.known;
  }

  optional(name: string | undefined): Known | undefined {
    return name ? this.known(name) : undefined;
  }

  floats(name: string): Constant {
    const { shape, values } = this.known(name);
    return { shape, values: values instanceof Float32Array ? values : Float32Array.from(values) };
  }

  isKnown(name: string): boolean {
    return "known" in this.value(name);
  }

  /** A value with its axes as the file has them. */
  plain(flow: Flow): string {
    const b = this.builder;
    if (flow.rows) {
      const turned = to.permute(b, `${flow.tensor}/turned`, flow.rows.from, [2, 0, 1]);
      return to.reshape(b, `${flow.tensor}/rows`, turned, [elements(b.shape(turned))]);
    }
    return flow.image ? to.permute(b, `${flow.tensor}/turned`, flow.tensor, [2, 0, 1]) : flow.tensor;
  }

  /** A value's shape as the file has it, the batch counted as 1. */
  shape(flow: Flow): number[] {
    const own = this.builder.shape(flow.tensor);
    return flow.image ? [1, own[2], own[0], own[1]] : [1, ...own];
  }

  /** A value that must be an image. */
  image(name: string): string {
    const flow = this.flow(name);
    if (flow.image) return flow.tensor;
    if (this.builder.shape(flow.tensor).length !== 3)
      throw new RangeError(`an image is expected, got shape [${this.shape(flow)}]`);
    return to.permute(this.builder, `${flow.tensor}/image`, flow.tensor, [1, 2, 0]);
  }
}

/** Operators read the inputs and settings that they have; in a damaged file these may be missing, or of another kind. */
function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError)
      throw new RangeError("an input or a setting is missing, or of another kind", { cause: error });
    throw error;
  }
}

export const ints = (value: unknown, fallback: readonly number[]): number[] => [
  ...((value as readonly number[] | undefined) ?? fallback),
];

export const pairOf = (value: unknown, fallback: readonly [number, number]): [number, number] => {
  const [a, b] = ints(value, fallback);
  if (a === undefined || b === undefined || ints(value, fallback).length !== 2)
    throw new RangeError(`two numbers are expected, for rows and columns, got ${ints(value, fallback)}`);
  return [a, b];
};

export const nameOf = ({ name, outputs }: OnnxNode) => outputs[0] || name;

/** A constant as it meets a value: its axes in the order in which the value is held, the batch's left out. */
export function meeting(flow: Flow, constant: Constant, file: Reading): Constant {
  const logical = file.shape(flow).slice(1);
  const own = to.aligned(constant, logical);
  if (!flow.image) return own;
  return {
    shape: [own.shape[1], own.shape[2], own.shape[0]],
    values: permuted(own.values, own.shape, [1, 2, 0]),
  };
}

/** Values brought to one way of being held. */
export function together(flows: Flow[], file: Reading): { tensors: string[]; image: boolean } {
  const image = flows.some((flow) => flow.image);
  const tensors = flows.map((flow) => {
    if (!image) return flow.rows ? file.plain(flow) : flow.tensor;
    if (flow.image) return flow.tensor;
    const shape = file.builder.shape(flow.tensor);
    if (shape.length !== 3) throw new RangeError(`values of ${shape.length + 1} and 4 axes do not meet`);
    return to.permute(file.builder, `${flow.tensor}/image`, flow.tensor, [1, 2, 0]);
  });
  return { tensors, image };
}

/** What computes each number of a value by itself. */
export const each =
  (apply: (node: OnnxNode, file: Reading, x: string) => string): Reader =>
  (node, file) => {
    const flow = file.flow(node.inputs[0]);
    const tensor = apply(node, file, flow.tensor);
    // Turned rows would have to be those of the new value.
    if (!flow.rows) return { tensor, image: flow.image };
    return { tensor: apply(node, file, file.plain(flow)), image: false };
  };

/** Axes of the file, the batch's left out, as a value is held. */
export function heldAxes(flow: Flow, axes: readonly number[], file: Reading): number[] {
  const rank = file.shape(flow).length;
  return axes.map((axis) => {
    const own = axis < 0 ? axis + rank : axis;
    if (!(own >= 1 && own < rank))
      throw new RangeError(`axis ${axis} of ${rank}, the batch the first, is not supported`);
    return flow.image ? [2, 0, 1][own - 1] : own - 1;
  });
}

/** A value that is held as the file has it, but for images. */
export const held = (flow: Flow, file: Reading): Flow =>
  flow.rows ? { tensor: file.plain(flow), image: false } : flow;
