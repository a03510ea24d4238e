// ONNX operators that move numbers and compute none: shapes, axes, parts, padding.
import { elements } from "../../util/shape.ts";
import * as to from "../import/operators.ts";
import { axesOf, list } from "./constants.ts";
import type { OnnxNode } from "./model.ts";
import {
  type Flow,
  held,
  heldAxes,
  ints,
  nameOf,
  type Reader,
  type Reading,
  together,
  type Value,
} from "./reading.ts";

/** A value in another shape, as the file counts: without the batch. */
function reshaped(node: OnnxNode, file: Reading, flow: Flow, target: readonly number[]): Value {
  const b = file.builder;
  const shape = file.shape(flow).slice(1);
  const name = nameOf(node);
  if (shape.length === target.length && shape.every((size, i) => size === target[i])) return flow;
  if (elements(shape) !== elements(target))
    throw new RangeError(`shape [${target}] for a value of shape [${shape}]`);
  if (flow.image) {
    const [channels, high, wide] = shape;
    const single = high * wide === 1;
    if (target.length === 1) {
      const tensor = to.reshape(b, name, flow.tensor, [...target]);
      return single ? { tensor, image: false } : { tensor, image: false, rows: { from: flow.tensor } };
    }
    if (single && target.length === 3 && target[0] === channels) return flow;
  }
  const input = file.plain(flow);
  // A row of channels becomes an image of one place.
  if (target.length === 3 && target[1] * target[2] === 1)
    return { tensor: to.reshape(b, name, input, [1, 1, target[0]]), image: true };
  return { tensor: to.reshape(b, name, input, [...target]), image: false };
}

/** The sizes behind the batch, which must stay what it is. */
function withoutBatch(shape: readonly number[]): number[] {
  if (shape[0] !== 1 && shape[0] !== -1)
    throw new RangeError(`a batch that becomes ${shape[0]} is not supported`);
  return shape.slice(1);
}

export const reshape: Reader = (node, file) => {
  const flow = file.flow(node.inputs[0]);
  const own = file.shape(flow);
  const target = (file.optional(node.inputs[1]) ?? list(ints(node.attributes.shape, []))).values;
  const shape = [...target].map((size, i) => (size === 0 && !node.attributes.allowzero ? own[i] : size));
  if (shape.length === 0) throw new RangeError("a shape without axes is not supported");
  const open = shape.indexOf(-1, shape[0] === -1 ? 1 : 0);
  if (open > 0) {
    const rest = shape.reduce((all, size, i) => (i === open || i === 0 ? all : all * size), 1);
    shape[open] = elements(own) / rest;
  } else if (shape[0] === -1 && elements(shape.slice(1)) !== elements(own))
    throw new RangeError("a batch that grows is not supported");
  return reshaped(node, file, flow, withoutBatch(shape));
};

export const flatten: Reader = (node, file) => {
  const flow = file.flow(node.inputs[0]);
  if (Number(node.attributes.axis ?? 1) !== 1) throw new RangeError("only axis 1 is supported");
  return reshaped(node, file, flow, [elements(file.shape(flow))]);
};

export const squeeze: Reader = (node, file) => {
  const flow = file.flow(node.inputs[0]);
  const shape = file.shape(flow);
  const given = axesOf(node, file.optional(node.inputs[1]))?.map((axis) =>
    axis < 0 ? axis + shape.length : axis,
  );
  const axes = given ?? shape.flatMap((size, axis) => (axis > 0 && size === 1 ? [axis] : []));
  if (axes.includes(0) || axes.some((axis) => shape[axis] !== 1))
    throw new RangeError(`axes ${axes} of [${shape}]`);
  return reshaped(
    node,
    file,
    flow,
    shape.filter((_, axis) => axis > 0 && !axes.includes(axis)),
  );
};

export const unsqueeze: Reader = (node, file) => {
  const flow = file.flow(node.inputs[0]);
  const shape = file.shape(flow);
  const given = axesOf(node, file.optional(node.inputs[1])) ?? [];
  const rank = shape.length + given.length;
  const axes = given.map((axis) => (axis < 0 ? axis + rank : axis));
  if (axes.includes(0)) throw new RangeError("a new axis before the batch is not supported");
  const rest = shape.slice(1);
  const target = Array.from({ length: rank - 1 }, (_, i) => (axes.includes(i + 1) ? 1 : rest.shift()!));
  return reshaped(node, file, flow, target);
};

export const transpose: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const rank = file.shape(flow).length;
  const order = ints(
    node.attributes.perm,
    Array.from({ length: rank }, (_, i) => rank - 1 - i),
  );
  if (order[0] !== 0) throw new RangeError(`order ${order} moves the batch, which is not supported`);
  if (flow.image && order.join() === "0,2,3,1") return { tensor: flow.tensor, image: false };
  if (!flow.image && order.join() === "0,3,1,2") return { tensor: flow.tensor, image: true };
  return {
    tensor: to.permute(file.builder, nameOf(node), flow.tensor, heldAxes(flow, order.slice(1), file)),
    image: false,
  };
};

export const pad: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const rank = file.shape(flow).length;
  const pads = node.inputs[1] ? [...file.known(node.inputs[1]).values] : ints(node.attributes.pads, []);
  if (node.inputs[3]) throw new RangeError("axes of padding are not supported");
  const value = node.inputs[2] ? file.known(node.inputs[2]).values[0] : Number(node.attributes.value ?? 0);
  const mode = String(node.attributes.mode ?? "constant");
  if (mode !== "constant" && mode !== "reflect") throw new RangeError(`mode ${mode} is not supported`);
  if (pads.length !== 2 * rank || pads[0] || pads[rank]) throw new RangeError(`pads ${pads} of ${rank} axes`);
  const own = Array.from({ length: rank - 1 }, (_, i) => [pads[i + 1], pads[i + 1 + rank]] as const);
  const paddings = flow.image ? [own[1], own[2], own[0]] : own;
  return { ...flow, tensor: to.pad(file.builder, nameOf(node), flow.tensor, paddings, mode, value) };
};

export const slice: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const shape = file.shape(flow);
  const numbers = (i: number, name: string) =>
    node.inputs[i] ? [...file.known(node.inputs[i]).values] : (node.attributes[name] as number[] | undefined);
  const starts = numbers(1, "starts") ?? [];
  const ends = numbers(2, "ends") ?? [];
  const axes = numbers(3, "axes") ?? starts.map((_, i) => i);
  const steps = numbers(4, "steps") ?? starts.map(() => 1);
  const own = file.builder.shape(flow.tensor);
  const [begin, end, strides] = [own.map(() => 0), [...own], own.map(() => 1)];
  for (const [i, axis] of axes.entries()) {
    // The whole batch, however many examples it has: tf2onnx names all axes.
    const whole = starts[i] === 0 && ends[i] >= 2 ** 31 - 1 && steps[i] === 1;
    if (whole && (axis === 0 || axis === -shape.length)) continue;
    const [at] = heldAxes(flow, [axis], file);
    const size = shape[axis < 0 ? axis + shape.length : axis];
    const place = (value: number) => Math.max(0, Math.min(size, value < 0 ? value + size : value));
    [begin[at], end[at], strides[at]] = [place(starts[i]), place(ends[i]), steps[i]];
  }
  return { ...flow, tensor: to.slice(file.builder, nameOf(node), flow.tensor, begin, end, strides) };
};

export const split: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const [axis] = heldAxes(flow, [Number(node.attributes.axis ?? 0)], file);
  const own = file.builder.shape(flow.tensor);
  const count = node.outputs.length;
  const sizes = node.inputs[1]
    ? [...file.known(node.inputs[1]).values]
    : ints(
        node.attributes.split,
        Array.from({ length: count }, () => own[axis] / count),
      );
  let at = 0;
  return sizes.map((size, i) => {
    const from = at;
    at += size;
    const place = (value: number, other: (n: number) => number) =>
      own.map((n, a) => (a === axis ? value : other(n)));
    const ones = own.map(() => 1);
    const name = `${nameOf(node)}/${i}`;
    const tensor = to.slice(
      file.builder,
      name,
      flow.tensor,
      place(from, () => 0),
      place(at, (n) => n),
      ones,
    );
    return { ...flow, tensor };
  });
};

export const concat: Reader = (node, file) => {
  const flows = node.inputs.map((name) => file.flow(name));
  const { tensors, image } = together(flows, file);
  const [axis] = heldAxes({ tensor: tensors[0], image }, [Number(node.attributes.axis ?? 1)], file);
  return { tensor: to.concatenate(file.builder, nameOf(node), tensors, axis), image };
};

/** Codes and back: what lies between two grids is rounded in the file and not here. */
export const through: Reader = (node, file) => {
  if (node.op.endsWith("Linear"))
    file.builder.notes.add(
      "activations are integers in the file and floats in the network, so outputs differ by their rounding",
    );
  return file.value(node.inputs[0]);
};
