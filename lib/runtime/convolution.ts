// Products with kernels as they are stored. A convolution meets its input as planes: an entry of a unit is a number and the
// address of its row's plane, moved to its place in the window, and adds that plane, times itself, to the unit's. Units are
// laid out so a few at a time, in a stretch of memory that a first-level cache holds; the kernel itself stays as it is.

import type { KeptKernel } from "./kept-kernel.ts";
import { entriesOf, gridOfRun } from "./kernels.ts";
import type { NetworkMemory, Value } from "./memory.ts";
import type { StepSource, Window } from "./step.ts";

/** Bytes of a unit that is laid out: what they are, its bias, its entries. */
function recordBytes({ starts, rows, runs }: KeptKernel, unit: number): number {
  return 8 + 8 * (starts ? starts[(unit + 1) * runs] - starts[unit * runs] : rows);
}

/** Lays a unit out; returns where it ends. */
function layOut(
  memory: NetworkMemory,
  kernel: KeptKernel,
  unit: number,
  bias: number,
  offsets: number,
  to: number,
): number {
  const { kind, codes, rowOf, table, size, wide, run, runs } = kernel;
  const bytes = recordBytes(kernel, unit);
  memory.ints[to >> 2] = bytes;
  memory.all[(to >> 2) + 1] = bias;
  let next = to + 8;
  for (let r = 0; r < runs; r++) {
    const [from, count] = entriesOf(kernel, unit, r);
    const { scale, zero } = gridOfRun(kernel, unit, r);
    const rows = rowOf.at + from * wide;
    const places = wide === 0 ? offsets + 4 * r * run : offsets;
    memory.kernels.layOut(
      codes.at + from * size,
      kind,
      rows,
      wide,
      count,
      table.at,
      zero,
      scale,
      places,
      next,
    );
    next += 8 * count;
  }
  return to + bytes;
}

/**
 * Planes so that every place of the window is the plane from an address on: with 0 around them, and apart by what is left
 * of a division by the strides, so that neighbours in the output are neighbours in memory.
 */
interface Source {
  /** Bytes of one channel's planes; of a line. */
  channelBytes: number;
  lineBytes: number;
  /** Where each place of the window begins. */
  taps: number[];
  /** Puts a channel's planes there. */
  fill: (memory: NetworkMemory, from: number, to: number) => void;
}

function spreadSource(
  [height, width]: readonly number[],
  [high, wide]: readonly number[],
  { size, strides, dilation, before }: Window,
): Source {
  const reach = [0, 1].map((axis) => Math.floor(((size[axis] - 1) * dilation[axis]) / strides[axis]));
  const [lines, columns] = [high + reach[0], wide + reach[1]];
  const phases: [number, number][] = [];
  const taps: number[] = [];
  for (let i = 0; i < size[0]; i++)
    for (let j = 0; j < size[1]; j++) {
      const [down, right] = [i * dilation[0], j * dilation[1]];
      const phase: [number, number] = [down % strides[0], right % strides[1]];
      let place = phases.findIndex(([a, b]) => a === phase[0] && b === phase[1]);
      if (place < 0) place = phases.push(phase) - 1;
      const line = place * lines + Math.floor(down / strides[0]);
      taps.push(4 * (line * columns + Math.floor(right / strides[1])));
    }
  /** Which lines or columns of a phase lie inside the input: the first, how many, and where in the input. */
  const insides = (axis: number, phase: number, most: number, length: number) => {
    const first = Math.max(0, Math.ceil((before[axis] - phase) / strides[axis]));
    const from = first * strides[axis] + phase - before[axis];
    const count = Math.min(most - first, Math.ceil((length - from) / strides[axis]));
    return { first, from, count: Math.max(0, count) };
  };
  const moves = phases
    .map(([down, right], place) => {
      const y = insides(0, down, lines, height);
      const x = insides(1, right, columns, width);
      return {
        from: 4 * (y.from * width + x.from),
        to: 4 * ((place * lines + y.first) * columns + x.first),
        lines: y.count,
        count: x.count,
      };
    })
    .filter((move) => move.lines > 0 && move.count > 0);
  const length = phases.length * lines * columns;
  return {
    channelBytes: 4 * length,
    lineBytes: 4 * columns,
    taps,
    fill(memory, from, to) {
      memory.all.fill(0, to >> 2, (to >> 2) + length);
      for (const move of moves)
        memory.kernels.spread(
          from + move.from,
          4 * width * strides[0],
          strides[1],
          to + move.to,
          4 * columns,
          move.lines,
          move.count,
        );
    },
  };
}

/** So much of units is laid out at a time. */
const panelBytes = 2 ** 16;

/** What a convolution needs beside its kernel. */
type ConvolutionSource = Pick<StepSource, "inputs" | "output" | "memory"> & {
  kernel: KeptKernel;
  window: Window;
  bias: Float32Array | undefined;
};

const isDirect = (input: Value, output: Value, { size, strides, dilation, before }: Window) =>
  [0, 1].every(
    (axis) =>
      strides[axis] === 1 &&
      before[axis] === 0 &&
      output.shape[axis] + (size[axis] - 1) * dilation[axis] <= input.shape[axis],
  );

/** Every unit sees all channels. */
export function convolve({ inputs, output, kernel, window, bias, memory }: ConvolutionSource): () => void {
  const [input] = inputs;
  const [height, width] = input.shape;
  const { units } = kernel;
  const direct = isDirect(input, output, window);
  const isPointwise = direct && window.size.every((length) => length === 1);
  const source: Omit<Source, "fill"> & Partial<Pick<Source, "fill">> = direct
    ? {
        channelBytes: 4 * input.plane,
        lineBytes: 4 * width,
        taps: tapsOf(window, width),
      }
    : spreadSource([height, width], output.shape, window);
  const channels = input.planes;
  const offsets = new Int32Array(source.taps.length * channels);
  for (let tap = 0, row = 0; tap < source.taps.length; tap++)
    for (let channel = 0; channel < channels; channel++)
      offsets[row++] = channel * source.channelBytes + source.taps[tap];
  const offsetsAt = memory.keep(offsets);
  const most = Array.from({ length: units }, (_, unit) => recordBytes(kernel, unit)).reduce(
    (a, b) => Math.max(a, b),
    panelBytes,
  );
  memory.needScratch(most + (direct ? 0 : channels * source.channelBytes + 128));
  const [lines, places] = isPointwise ? [1, output.places] : output.shape;
  return () => {
    const panel = memory.scratch;
    const from = direct ? input.at : panel + most;
    if (source.fill)
      for (let channel = 0; channel < channels; channel++)
        source.fill(memory, input.at + 4 * channel * input.plane, from + channel * source.channelBytes);
    for (let unit = 0; unit < units; ) {
      const first = unit;
      let at = panel;
      for (; unit < units && at + recordBytes(kernel, unit) <= panel + most; unit++)
        at = layOut(memory, kernel, unit, bias ? bias[unit] : 0, offsetsAt.at, at);
      memory.kernels.convolve(
        panel,
        unit - first,
        from,
        source.lineBytes,
        output.at + 4 * first * output.plane,
        4 * output.shape[1],
        4 * output.plane,
        lines,
        (places + 3) >> 2,
      );
    }
  };
}

function tapsOf({ size, dilation }: Window, width: number): number[] {
  const taps: number[] = [];
  for (let i = 0; i < size[0]; i++)
    for (let j = 0; j < size[1]; j++) taps.push(4 * (i * dilation[0] * width + j * dilation[1]));
  return taps;
}

/** Every channel has units of its own. */
export function convolveDepthwise({
  inputs,
  output,
  kernel,
  window,
  bias,
  memory,
}: ConvolutionSource): () => void {
  const [input] = inputs;
  const channels = input.planes;
  const multiplier = kernel.units / channels;
  const direct = isDirect(input, output, window);
  const source = direct ? undefined : spreadSource(input.shape, output.shape, window);
  const offsetsAt = memory.keep(Int32Array.from(source?.taps ?? tapsOf(window, input.shape[1])));
  const panel = multiplier * (8 + 8 * kernel.rows);
  const most = (panel + 15) & ~15;
  memory.needScratch(most + (source ? source.channelBytes + 128 : 0));
  const [lines, places] = output.shape;
  return () => {
    const scratch = memory.scratch;
    for (let channel = 0; channel < channels; channel++) {
      let from = input.at + 4 * channel * input.plane;
      if (source) {
        source.fill(memory, from, scratch + most);
        from = scratch + most;
      }
      let at = scratch;
      const first = channel * multiplier;
      for (let unit = first; unit < first + multiplier; unit++)
        at = layOut(memory, kernel, unit, bias ? bias[unit] : 0, offsetsAt.at, at);
      memory.kernels.convolve(
        scratch,
        multiplier,
        from,
        source?.lineBytes ?? 4 * input.shape[1],
        output.at + 4 * first * output.plane,
        4 * output.shape[1],
        4 * output.plane,
        lines,
        (places + 3) >> 2,
      );
    }
  };
}
