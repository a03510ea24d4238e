// §1.1 Green computing: what a forward pass costs in energy, estimated from published figures an operation.
// M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, 45 nm at 0.9 V; memory as
// quoted by S. Han et al., "Learning both weights and connections", 2015, table 1.
import { checkNumber, checkOneOf } from "../util/check.ts";

/** Picojoules for one operation in a 45 nm process. */
export const picojoules = {
  float32: { multiply: 3.7, add: 0.9 },
  float16: { multiply: 1.1, add: 0.4 },
  int32: { multiply: 3.1, add: 0.1 },
  int8: { multiply: 0.2, add: 0.03 },
  /** Reading 32 bits. */
  sram32: 5,
  dram32: 640,
} as const;

/** What a forward pass does, as far as energy goes. */
export interface Work {
  /** Multiply-accumulates. */
  macs: number;
  /** Bytes of weights read. */
  weightBytes: number;
  /** Bytes of activations written and read back. */
  activationBytes: number;
}

/** Microjoules by where they go. */
export interface Energy {
  arithmetic: number;
  weights: number;
  activations: number;
  total: number;
}

/**
 * Estimates the energy of one forward pass, in microjoules (§1.1). A model of hardware, not a measurement: each
 * multiply-accumulate once, each weight read once, each activation written and read once from SRAM.
 *
 * @param options arithmetic's number format (int8 accumulates in 32 bits), and where the weights live
 */
export function energyOf(
  work: Work,
  {
    format = "float32",
    weightsIn = "dram",
  }: { format?: "float32" | "float16" | "int8"; weightsIn?: "dram" | "sram" } = {},
): Energy {
  checkOneOf("format", format, ["float32", "float16", "int8"]);
  checkOneOf("weightsIn", weightsIn, ["dram", "sram"]);
  for (const key of ["macs", "weightBytes", "activationBytes"] as const) checkNumber(key, work[key], 0);
  const add = format === "int8" ? picojoules.int32.add : picojoules[format].add;
  const arithmetic = (work.macs * (picojoules[format].multiply + add)) / 1e6;
  const weights = ((work.weightBytes / 4) * picojoules[weightsIn === "dram" ? "dram32" : "sram32"]) / 1e6;
  const activations = ((work.activationBytes / 4) * 2 * picojoules.sram32) / 1e6;
  return { arithmetic, weights, activations, total: arithmetic + weights + activations };
}

/** What a training run has taken, as its reports give it. */
export interface TrainingRun {
  /** Hours of one accelerator, all of them together. */
  hours: number;
  /** What one of them draws. */
  watts: number;
  /** Of the whole centre's power over its computers' (PUE); default 1. */
  overhead?: number;
}

/** Electricity of a training run, in kilowatt-hours (§1.1). */
export function electricityOf({ hours, watts, overhead = 1 }: TrainingRun): number {
  checkNumber("hours", hours, 0);
  checkNumber("watts", watts, 0);
  checkNumber("overhead", overhead, 1);
  return (hours * watts * overhead) / 1000;
}

/**
 * Kilograms of carbon dioxide (equivalents) that electricity has cost (§1.1).
 *
 * @param gramsPerKilowattHour of the grid: about 30 where water and wind feed it, 400 to 500 as the world's mean, 900 for coal
 */
export function carbonOf(kilowattHours: number, gramsPerKilowattHour: number): number {
  checkNumber("kilowattHours", kilowattHours, 0);
  checkNumber("gramsPerKilowattHour", gramsPerKilowattHour, 0);
  return (kilowattHours * gramsPerKilowattHour) / 1000;
}

/**
 * Multiply-accumulates of training: each example goes forward once, and backward at twice the cost, once for the gradients of
 * the activations and once for those of the weights (§1.1; for language models the "6 N D" operations of J. Kaplan et al.,
 * "Scaling laws for neural language models", 2020).
 *
 * @param macs of the forward pass of one example
 * @param examples seen, over all epochs
 */
export function trainingMacs(macs: number, examples: number): number {
  checkNumber("macs", macs, 0);
  checkNumber("examples", examples, 0);
  return 3 * macs * examples;
}
