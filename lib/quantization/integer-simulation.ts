// §3.2.2 An integer network simulated in floating point, with loops of its own: what `runInteger` must equal bit for bit.

import { elements } from "../util/shape.ts";
import { windows } from "./integer-codes.ts";
import {
  type IntegerNetwork,
  type IntegerResult,
  inputsOf,
  noGrid,
  readsOf,
  resultOf,
} from "./integer-network.ts";
import type { IntegerStep, Step, Window } from "./integer-steps.ts";
import type { Requantization } from "./requantize.ts";
import { roundEven } from "./rounding.ts";

/**
 * The same network simulated in floating point, with loops of its own and no 8-bit or 32-bit number anywhere: the
 * independent answer that `runInteger` must equal bit for bit. Values are held in units of their grid's scale; every
 * sum of products is a whole number below 2^53, so nothing is lost on the way to the rounding.
 */
export function simulateInteger(
  network: IntegerNetwork,
  inputs: Float32Array | readonly Float32Array[],
  batch: number,
): IntegerResult {
  const { reads, outputs } = readsOf(network);
  const all = new Map<number, Levels>();
  for (const { place, shape, grid, values } of inputsOf(network, inputs, batch)) {
    const { scale, zeroPoint, low, high, step: size = scale } = grid;
    const levels = Float64Array.from(values, (v) =>
      Math.min(high - zeroPoint, Math.max(low - zeroPoint, roundEven(v / size))),
    );
    all.set(place, { levels, shape, grid });
  }
  for (const [i, step] of network.steps.entries()) {
    const given = reads[i].map((source) => all.get(source)!);
    if (given.some(({ grid }) => !grid)) throw new RangeError(noGrid);
    all.set(i, simulateStep(step, given, batch));
  }
  return resultOf(network, outputs, (output) => {
    const { levels, shape, grid } = all.get(output)!;
    const zero = grid?.zeroPoint ?? 0;
    return { steps: Int32Array.from(levels, (level) => level + zero), shape, grid };
  });
}

/** Values of the simulation in units of their grid's scale, less its zero point. */
interface Levels {
  levels: Float64Array;
  shape: number[];
  grid: { scale: number; zeroPoint: number } | undefined;
}

function simulateStep(step: IntegerStep, inputs: Levels[], batch: number): Levels {
  const [{ levels, shape, grid }] = inputs;
  switch (step.kind) {
    case "flatten":
      return { levels, shape: [elements(shape)], grid };
    case "reshape":
      return { levels, shape: [...step.shape], grid };
    case "dense": {
      const window = { size: [1, 1], strides: [1, 1], padding: "valid" } as const;
      const as = { ...step, ...window, kind: "conv2d" as const };
      const [values, [, , units]] = simulateConv(levels, batch, [1, 1, elements(shape)], as);
      return { levels: values, shape: [units], grid: step.output };
    }
    case "conv2d":
    case "depthwiseConv2d": {
      const [values, outShape] = simulateConv(levels, batch, shape, step);
      return { levels: values, shape: outShape, grid: step.output };
    }
    case "maxPool2d":
    case "averagePool2d": {
      const [values, outShape] = simulatePool(levels, batch, shape, step);
      return { levels: values, shape: outShape, grid };
    }
    case "clip": {
      const zero = grid!.zeroPoint;
      return {
        levels: levels.map((v) => Math.min(step.high - zero, Math.max(step.low - zero, v))),
        shape,
        grid,
      };
    }
    case "pad2d":
      return { ...simulatePad(levels, batch, shape, step.padding), grid };
    case "add":
    case "concatenate":
      return simulateJoined(step, inputs);
  }
}

function simulateConv(
  values: Float64Array,
  batch: number,
  shape: readonly number[],
  step: Step<"conv2d" | "depthwiseConv2d">,
): [Float64Array<ArrayBuffer>, number[]] {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, step);
  const units = step.bias.length;
  const multiplier = units / channels;
  const out = new Float64Array(batch * outHeight * outWidth * units);
  const sums = new Float64Array(units);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        sums.fill(0);
        for (let ky = 0; ky < step.size[0]; ky++) {
          const y = oy * step.strides[0] + ky - top;
          if (y < 0 || y >= height) continue;
          for (let kx = 0; kx < step.size[1]; kx++) {
            const x = ox * step.strides[1] + kx - left;
            if (x < 0 || x >= width) continue;
            const place = ky * step.size[1] + kx;
            const from = ((b * height + y) * width + x) * channels;
            if (step.kind === "depthwiseConv2d") {
              for (let u = 0; u < units; u++)
                sums[u] += values[from + Math.floor(u / multiplier)] * step.kernel[place * units + u];
              continue;
            }
            for (let c = 0; c < channels; c++) {
              const row = (place * channels + c) * units;
              for (let u = 0; u < units; u++) sums[u] += values[from + c] * step.kernel[row + u];
            }
          }
        }
        for (let u = 0; u < units; u++) {
          const accumulator = sums[u] * 2 ** step.fraction[u] + step.bias[u];
          out[at++] = simulateRequantization(accumulator, u, step.requantization);
        }
      }
    }
  }
  return [out, [outHeight, outWidth, units]];
}

function simulateJoined(step: Step<"add" | "concatenate">, inputs: Levels[]): Levels {
  const { multipliers, shift, output } = step;
  const [low, high] = [step.low - output.zeroPoint, step.high - output.zeroPoint];
  const round = (real: number) => Math.min(high, Math.max(low, roundEven(real)));
  const factors = multipliers.map((multiplier) => multiplier / 2 ** shift);
  if (step.kind === "add") {
    const sums = inputs[0].levels.map((_, i) =>
      round(inputs.reduce((sum, { levels }, k) => sum + levels[i] * factors[k], 0)),
    );
    return { levels: sums, shape: inputs[0].shape, grid: output };
  }
  const rows = inputs.map(({ levels, shape }) => ({ levels, width: shape[shape.length - 1] }));
  const channels = rows.reduce((sum, { width }) => sum + width, 0);
  const places = rows[0].levels.length / rows[0].width;
  const all = Array.from({ length: places }, (_, place) =>
    rows.flatMap(({ levels, width }, k) =>
      [...levels.subarray(place * width, (place + 1) * width)].map((level) => round(level * factors[k])),
    ),
  );
  return {
    levels: Float64Array.from(all.flat()),
    shape: [...inputs[0].shape.slice(0, -1), channels],
    grid: output,
  };
}

function simulatePad(
  levels: Float64Array,
  batch: number,
  [height, width, channels]: number[],
  [top, bottom, left, right]: Step<"pad2d">["padding"],
): { levels: Float64Array; shape: number[] } {
  const shape = [height + top + bottom, width + left + right, channels];
  const out = new Float64Array(batch * elements(shape));
  for (let i = 0; i < levels.length; i++) {
    const c = i % channels;
    const x = Math.floor(i / channels) % width;
    const y = Math.floor(i / (channels * width)) % height;
    const b = Math.floor(i / (channels * width * height));
    out[((b * shape[0] + y + top) * shape[1] + x + left) * channels + c] = levels[i];
  }
  return { levels: out, shape };
}

/** The rounding of `requantize` on real numbers: sum times multiplier, a real number; nearest level; clipped. */
function simulateRequantization(
  sum: number,
  unit: number,
  requantization: Requantization | undefined,
): number {
  if (requantization === undefined) return sum;
  const { multipliers, zeroPoint, low, high } = requantization;
  const { multiplier, shift } = multipliers[unit % multipliers.length];
  return Math.min(high - zeroPoint, Math.max(low - zeroPoint, roundEven(sum * (multiplier * 2 ** -shift))));
}

function simulatePool(
  values: Float64Array,
  batch: number,
  shape: readonly number[],
  step: Window & { kind: "maxPool2d" | "averagePool2d" },
): [Float64Array<ArrayBuffer>, number[]] {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, step);
  const out = new Float64Array(batch * outHeight * outWidth * channels);
  const largest = step.kind === "maxPool2d";
  for (let i = 0; i < out.length; i++) {
    const c = i % channels;
    const ox = Math.floor(i / channels) % outWidth;
    const oy = Math.floor(i / (channels * outWidth)) % outHeight;
    const b = Math.floor(i / (channels * outWidth * outHeight));
    const found: number[] = [];
    for (let ky = 0; ky < step.size[0]; ky++) {
      for (let kx = 0; kx < step.size[1]; kx++) {
        const y = oy * step.strides[0] + ky - top;
        const x = ox * step.strides[1] + kx - left;
        if (y >= 0 && y < height && x >= 0 && x < width)
          found.push(values[((b * height + y) * width + x) * channels + c]);
      }
    }
    out[i] = largest ? Math.max(...found) : roundEven(found.reduce((a, v) => a + v, 0) / found.length);
  }
  return [out, [outHeight, outWidth, channels]];
}
