// What changes number after number: activations, and what is computed from every number alone. In WebAssembly where a number
// is scaled, moved and clamped, which is what most networks do.
import { activationOf, type GraphNode } from "../graph/index.ts";
import { checkOneOf } from "../util/check.ts";
import type { NetworkMemory, Value } from "./memory.ts";

/** clamp(scale · x + shift, low, high). */
export interface Clamp {
  scale?: number;
  shift?: number;
  low?: number;
  high?: number;
}

/** Activations that are a {@link Clamp}, and those that are not. */
const clamps: Record<string, Clamp> = {
  relu: { low: 0 },
  relu6: { low: 0, high: 6 },
  hardSigmoid: { scale: 0.2, shift: 0.5, low: 0, high: 1 },
};
const functions: Record<string, (x: number) => number> = {
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  swish: (x) => x / (1 + Math.exp(-x)),
  softplus: (x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0),
};
const names = ["linear", ...Object.keys(clamps), ...Object.keys(functions), "softmax"];

/** Numbers of a value, from another's or in place. */
export function clamp(memory: NetworkMemory, from: Value, to: Value, how: Clamp): void {
  clampAt(memory, from.at, to.at, to.length >> 2, how);
}

export function clampAt(
  memory: NetworkMemory,
  from: number,
  to: number,
  vectors: number,
  { scale = 1, shift = 0, low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY }: Clamp,
): void {
  memory.kernels.affine(from, to, vectors, scale, shift, low, high);
}

/** A function of every number, from one value to another or in place. */
export function map(memory: NetworkMemory, from: Value, to: Value, of: (x: number) => number): void {
  const given = memory.floats(from);
  const out = memory.floats(to);
  for (let i = 0; i < out.length; i++) out[i] = of(given[i]);
}

/** A node's activation, in place. */
export function activationFor(node: GraphNode, memory: NetworkMemory): (value: Value) => void {
  const name = checkOneOf(`activation of ${node.name}`, activationOf(node), names);
  if (name === "linear") return () => {};
  if (name === "softmax") return (value) => softmax(memory, value, value);
  const how = clamps[name];
  if (how) return (value) => clamp(memory, value, value, how);
  return (value) => map(memory, value, value, functions[name]);
}

/** A softmax over the last axis. */
export function softmax(memory: NetworkMemory, from: Value, to: Value): void {
  const values = memory.read(from);
  const width = from.shape.at(-1)!;
  for (let start = 0; start < values.length; start += width) {
    const row = values.subarray(start, start + width);
    const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let sum = 0;
    for (let i = 0; i < width; i++) {
      row[i] = Math.exp(row[i] - most);
      sum += row[i];
    }
    for (let i = 0; i < width; i++) row[i] /= sum;
  }
  memory.write(to, values);
}
