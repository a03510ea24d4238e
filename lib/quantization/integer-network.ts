// §3.2.2 A network in integers: 8-bit weights and activations, 32-bit accumulators, whole numbers from the
// first step to the last; beside it (integer-simulation.ts) the same network in floating point, equal bit for bit.
//
// Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018.

import { checkInteger, checkLength } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";
import { elements } from "../util/shape.ts";
import { type ActivationGrid, codesFor, toCodes } from "./activation-grid.ts";
import {
  depthwiseSums,
  lookUp,
  meetingShape,
  patches,
  pickCodes,
  pool,
  stretch,
  windows,
} from "./integer-codes.ts";
import { type Finish, integerConvolution, integerLayer } from "./integer-layer.ts";
import { binaryMatmul, integerMatmul, packBits } from "./integer-matmul.ts";
import type { IntegerStep, Step, Weighted } from "./integer-steps.ts";
import type { Codes8 } from "./packing.ts";
import { factorOf, requantize } from "./requantize.ts";
import { roundEven } from "./rounding.ts";

/** A network in integers: steps that read the network's inputs, or what earlier steps gave. */
export interface IntegerNetwork {
  /** Shape of one input, without the batch. */
  inputShape: readonly number[];
  /** How inputs become codes. */
  input: ActivationGrid;
  /** The second input and those after it; none by default. */
  others?: readonly { shape: readonly number[]; grid: ActivationGrid }[];
  steps: readonly IntegerStep[];
  /** The steps whose results are the network's, by index; -1 is its input, -2 the second. Default: the last step. */
  outputs?: readonly number[];
}

/** What the network's inputs are: for each its place among what steps read, shape, grid and values. */
export function inputsOf(
  { inputShape, input, others = [] }: IntegerNetwork,
  given: Float32Array | readonly Float32Array[],
  batch: number,
) {
  checkInteger("batch", batch, 0);
  const values = given instanceof Float32Array ? [given] : given;
  const inputs = [{ shape: inputShape, grid: input }, ...others];
  checkLength("inputs", values, inputs.length);
  return inputs.map(({ shape, grid }, i) => {
    checkLength(inputs.length === 1 ? "inputs" : `inputs[${i}]`, values[i], batch * elements(shape));
    return { place: -1 - i, shape: [...shape], grid, values: values[i] };
  });
}

/** What one output gives. */
export interface IntegerOutput {
  /** Accumulators where a layer with weights gives it and has no grid for its outputs; codes otherwise. */
  steps: Int32Array;
  /** The same in real units: logits. */
  values: Float32Array;
  /** Shape of one result, without the batch. */
  shape: number[];
}

/** What a run gives: the first output's, and every output's. */
export interface IntegerResult extends IntegerOutput {
  /** In the network's order, the first again among them. */
  outputs: IntegerOutput[];
}

/** What a step gives: codes on a grid, or the accumulators of a last step that has none. */
interface Value {
  codes: Codes8 | Int32Array;
  shape: number[];
  grid: { scale: number; zeroPoint: number } | undefined;
}

/** How each kind of step runs. */
const runs: {
  [Kind in IntegerStep["kind"]]: (
    step: Step<Kind>,
    inputs: (Value & { codes: Codes8; grid: { scale: number; zeroPoint: number } })[],
    batch: number,
    threads: number,
  ) => Value;
} = {
  reshape: ({ shape }, [value]) => ({ ...value, shape: [...shape] }),
  maxPool2d: (step, [value], batch) => pooled(step, value, batch),
  averagePool2d: (step, [value], batch) => pooled(step, value, batch),
  dense: (step, [{ codes }], batch, threads) => finish(step, codes, batch, [step.packed.cols], threads),
  conv2d: (step, [{ codes, shape }], batch, threads) => {
    const place = windows(shape, step);
    const { outHeight, outWidth } = place;
    const { packed, signs, zeroIn, requantization, bias, fraction, size, strides } = step;
    if (requantization && !signs) {
      const [height, width, channels] = shape;
      const rows = { height, width, channels, ...place, size, strides };
      const then: Finish = { ...requantization, bias, fraction };
      return {
        codes: integerConvolution(codes, rows, batch, packed, then, { zeroA: zeroIn, threads }),
        shape: [outHeight, outWidth, packed.cols],
        grid: step.output,
      };
    }
    const left = patches(codes, batch, shape, step, step.zeroIn);
    return finish(step, left, batch * outHeight * outWidth, [outHeight, outWidth, step.packed.cols], threads);
  },
  depthwiseConv2d: (step, [{ codes, shape }], batch) => {
    const [sums, outShape] = depthwiseSums(codes, batch, shape, step);
    return finished(step, sums, outShape);
  },
  pick2d: (step, [{ codes, shape, grid }], batch) => {
    const [picked, outShape] = pickCodes(codes, batch, shape, step, grid.zeroPoint);
    return { codes: picked, shape: outShape, grid };
  },
  lookup: (step, [{ codes, shape }]) => ({ codes: lookUp(codes, step), shape, grid: step.output }),
  clip: ({ low, high }, [value]) => ({
    ...value,
    codes: value.codes.map((code) => Math.min(high, Math.max(low, code))) as Codes8,
  }),
  add: met((a, b) => a + b),
  maximum: met(Math.max),
  minimum: met(Math.min),
  multiply: (step, inputs, batch) => {
    const { zerosIn, output, low, high } = step;
    const factor = factorOf(step.multiplier);
    const { shape, all } = meeting(inputs, batch);
    const codes = codesFor(output, all[0].length);
    for (let i = 0; i < codes.length; i++) {
      let product = factor;
      for (let k = 0; k < all.length; k++) product *= all[k][i] - zerosIn[k];
      codes[i] = Math.min(high, Math.max(low, roundEven(product) + output.zeroPoint));
    }
    return { codes, shape, grid: output };
  },
  concatenate: (step, inputs) => {
    const { multipliers, zerosIn, output, shift, low, high } = step;
    const widths = inputs.map(({ shape }) => shape[shape.length - 1]);
    const channels = widths.reduce((a, b) => a + b);
    const places = inputs[0].codes.length / widths[0];
    const codes = codesFor(output, places * channels);
    let first = 0;
    for (const [k, { codes: from }] of inputs.entries()) {
      for (let i = 0; i < from.length; i++) {
        const at = Math.floor(i / widths[k]) * channels + first + (i % widths[k]);
        const level = roundEven((from[i] - zerosIn[k]) * multipliers[k] * 2 ** -shift);
        codes[at] = Math.min(high, Math.max(low, level + output.zeroPoint));
      }
      first += widths[k];
    }
    return { codes, shape: [...inputs[0].shape.slice(0, -1), channels], grid: output };
  },
};

/** Inputs that meet one to one, those of size 1 stretched. */
function meeting(inputs: { codes: Codes8; shape: number[] }[], batch: number) {
  const shape = meetingShape(inputs.map((input) => input.shape));
  return { shape, all: inputs.map((input) => stretch(input.codes, batch, input.shape, shape)) };
}

/** A step in which inputs meet one to one, each on the output's grid but for rounding. */
function met(of: (a: number, b: number) => number) {
  return (
    { multipliers, zerosIn, output, shift, low, high }: Step<"add" | "maximum" | "minimum">,
    inputs: { codes: Codes8; shape: number[] }[],
    batch: number,
  ): Value => {
    const { shape, all } = meeting(inputs, batch);
    const codes = codesFor(output, all[0].length);
    for (let i = 0; i < codes.length; i++) {
      let result = (all[0][i] - zerosIn[0]) * multipliers[0];
      for (let k = 1; k < all.length; k++) result = of(result, (all[k][i] - zerosIn[k]) * multipliers[k]);
      codes[i] = Math.min(high, Math.max(low, roundEven(result * 2 ** -shift) + output.zeroPoint));
    }
    return { codes, shape, grid: output };
  };
}

function pooled(
  step: Step<"maxPool2d" | "averagePool2d">,
  { codes, shape, grid }: Value & { codes: Codes8; grid: { zeroPoint: number; scale: number } },
  batch: number,
): Value {
  const [out, outShape] = pool(codes, batch, shape, step, grid.zeroPoint);
  return { codes: out, shape: outShape, grid };
}

/** A matrix product of codes and what its layer does next. */
function finish(step: Weighted, left: Codes8, rows: number, shape: number[], threads: number): Value {
  const { packed, signs, zeroIn, requantization, bias, fraction } = step;
  if (requantization && !signs) {
    const codes = integerLayer(
      left,
      packed,
      rows,
      { ...requantization, bias, fraction },
      { zeroA: zeroIn, threads },
    );
    return { codes, shape, grid: step.output };
  }
  const sums = signs
    ? binaryMatmul(packBits(left, rows, packed.rows), signs)
    : integerMatmul(left, packed, rows, packed.rows, packed.cols, { zeroA: zeroIn, threads });
  return finished(step, sums, shape);
}

/** Sums of products to codes, or to accumulators where the step has no grid for its outputs. */
function finished(
  { bias, fraction, requantization, output }: Weighted,
  sums: Int32Array,
  shape: number[],
): Value {
  const units = bias.length;
  for (let i = 0; i < sums.length; i += units)
    for (let j = 0; j < units; j++) sums[i + j] = (sums[i + j] << fraction[j]) + bias[j];
  return requantization
    ? { codes: requantize(sums, units, requantization), shape, grid: output }
    : { codes: sums, shape, grid: undefined };
}

/** The positions of what a step reads, and the last step that reads each result that is no output: it may go then. */
export function readsOf({ steps, others = [], outputs = [steps.length - 1] }: IntegerNetwork): {
  reads: number[][];
  last: Map<number, number>;
  outputs: readonly number[];
} {
  const first = -1 - others.length;
  const reads = steps.map(({ inputs }, i) => [...(inputs ?? [i - 1])]);
  const last = new Map<number, number>();
  for (const [i, sources] of reads.entries())
    for (const source of sources) {
      checkInteger(`inputs of step ${i}`, source, first, i - 1);
      last.set(source, i);
    }
  for (const output of outputs) {
    checkInteger("outputs", output, first, steps.length - 1);
    last.delete(output);
  }
  return { reads, last, outputs };
}

/**
 * Runs the network in integers (§3.2.2).
 *
 * @param inputs real numbers, `batch` inputs one after the other; of a network with several inputs one array for each
 * @param threads that share each product, default 1
 */
export function runInteger(
  network: IntegerNetwork,
  inputs: Float32Array | readonly Float32Array[],
  batch: number,
  threads = 1,
): IntegerResult {
  const { reads, last, outputs } = readsOf(network);
  const values = new Map<number, Value>();
  for (const { place, shape, grid, values: real } of inputsOf(network, inputs, batch))
    values.set(place, { codes: toCodes(real, grid), shape, grid });
  for (const [i, step] of network.steps.entries()) {
    const given = reads[i].map((source) => {
      const value = values.get(source)!;
      if (!value.grid) throw new RangeError(noGrid);
      return value;
    });
    const result = (runs[step.kind] as (...args: unknown[]) => Value)(step, given, batch, threads);
    values.set(i, result);
    for (const source of reads[i]) if (last.get(source) === i) values.delete(source);
  }
  return resultOf(network, outputs, (output) => {
    const { codes, shape, grid } = values.get(output)!;
    return { steps: Int32Array.from(codes), shape, grid };
  });
}

/** Said where a step reads accumulators. */
export const noGrid = "only a step that none reads may leave out its output grid";

/** What a run comes to, output by output. */
export function resultOf(
  { steps: all }: IntegerNetwork,
  outputs: readonly number[],
  given: (output: number) => Pick<IntegerOutput, "steps" | "shape"> & Pick<Value, "grid">,
): IntegerResult {
  const results = outputs.map((output): IntegerOutput => {
    const { steps, shape, grid } = given(output);
    if (grid) return { steps, values: mapFloats(steps, (q) => grid.scale * (q - grid.zeroPoint)), shape };
    const { accumulatorScale } = all[output] as Weighted;
    const units = accumulatorScale.length;
    return { steps, values: mapFloats(steps, (q, i) => q * accumulatorScale[i % units]), shape };
  });
  return { ...results[0], outputs: results };
}
