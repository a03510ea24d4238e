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
    case "pick2d":
      return { ...simulatePick(levels, batch, shape, step), grid };
    case "lookup":
      return simulateLookup(step, inputs[0]);
    case "add":
    case "maximum":
    case "minimum":
    case "multiply":
      return simulateMeeting(step, inputs, batch);
    case "concatenate":
      return simulateConcatenation(step, inputs);
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

function simulateMeeting(
  step: Step<"add" | "maximum" | "minimum" | "multiply">,
  inputs: Levels[],
  batch: number,
): Levels {
  const { output } = step;
  const [low, high] = [step.low - output.zeroPoint, step.high - output.zeroPoint];
  const rank = Math.max(...inputs.map(({ shape }) => shape.length));
  const shapes = inputs.map(({ shape }) => [...new Array(rank - shape.length).fill(1), ...shape]);
  const shape = shapes[0].map((_, axis) => Math.max(...shapes.map((own) => own[axis])));
  const size = elements(shape);
  const found: number[] = [];
  for (let i = 0; i < batch * size; i++) {
    // Where the place lies along each axis, and what each input has there.
    let rest = i % size;
    const index = shape.map((_, axis) => {
      const step = elements(shape.slice(axis + 1));
      const at = Math.floor(rest / step);
      rest -= at * step;
      return at;
    });
    const here = inputs.map(({ levels }, k) => {
      const place = index.reduce((at, j, axis) => at * shapes[k][axis] + (shapes[k][axis] === 1 ? 0 : j), 0);
      return levels[Math.floor(i / size) * elements(shapes[k]) + place];
    });
    if (step.kind === "multiply") {
      const { multiplier, shift } = step.multiplier;
      found.push(here.reduce((a, b) => a * b, 1) * (multiplier / 2 ** shift));
      continue;
    }
    const terms = here.map((level, k) => level * (step.multipliers[k] / 2 ** step.shift));
    if (step.kind === "add") found.push(terms.reduce((a, b) => a + b, 0));
    else found.push(terms.toSorted((a, b) => (step.kind === "maximum" ? b - a : a - b))[0]);
  }
  const levels = Float64Array.from(found, (real) => Math.min(high, Math.max(low, roundEven(real))));
  return { levels, shape, grid: output };
}

function simulateConcatenation(step: Step<"concatenate">, inputs: Levels[]): Levels {
  const { multipliers, shift, output } = step;
  const [low, high] = [step.low - output.zeroPoint, step.high - output.zeroPoint];
  const factors = multipliers.map((multiplier) => multiplier / 2 ** shift);
  const rows = inputs.map(({ levels, shape }) => ({ levels, width: shape[shape.length - 1] }));
  const channels = rows.reduce((sum, { width }) => sum + width, 0);
  const places = rows[0].levels.length / rows[0].width;
  const all = Array.from({ length: places }, (_, place) =>
    rows.flatMap(({ levels, width }, k) =>
      [...levels.subarray(place * width, (place + 1) * width)].map((level) =>
        Math.min(high, Math.max(low, roundEven(level * factors[k]))),
      ),
    ),
  );
  return {
    levels: Float64Array.from(all.flat()),
    shape: [...inputs[0].shape.slice(0, -1), channels],
    grid: output,
  };
}

function simulateLookup({ table, rows, lowIn, output }: Step<"lookup">, input: Levels): Levels {
  const { zeroPoint } = input.grid!;
  const channels = input.shape[input.shape.length - 1];
  const entries = table.length / rows;
  const levels = input.levels.map((level, i) => {
    const row = rows === 1 ? 0 : i % channels;
    return table[row * entries + (level + zeroPoint - lowIn)] - output.zeroPoint;
  });
  return { levels, shape: input.shape, grid: output };
}

function simulatePick(
  levels: Float64Array,
  batch: number,
  [height, width, channels]: number[],
  { rows, columns }: Step<"pick2d">,
): { levels: Float64Array; shape: number[] } {
  const shape = [rows.length, columns.length, channels];
  const out = Float64Array.from({ length: batch * elements(shape) }, (_, i) => {
    const c = i % channels;
    const x = columns[Math.floor(i / channels) % columns.length];
    const y = rows[Math.floor(i / (channels * columns.length)) % rows.length];
    const b = Math.floor(i / elements(shape));
    return x < 0 || y < 0 ? 0 : levels[((b * height + y) * width + x) * channels + c];
  });
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
