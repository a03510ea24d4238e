// What a layer becomes before a network runs: a step, and what it is made of.
import type { GraphNode } from "../graph/index.ts";
import type { KeptKernel } from "./kept-kernel.ts";
import type { NetworkMemory, Value } from "./memory.ts";

/** Computes a node's output from its inputs, all of them at their places. */
export type Step = () => void;

/** What a step is made of. */
export interface StepSource {
  node: GraphNode;
  inputs: readonly Value[];
  output: Value;
  kernel?: KeptKernel;
  /** Weights that are no kernels, by role. */
  weights: Readonly<Record<string, Float32Array | undefined>>;
  memory: NetworkMemory;
}

/** How a window moves over an input: its steps, and how many rows and columns of 0 stand before it. */
export interface Window {
  size: readonly [number, number];
  strides: readonly [number, number];
  dilation: readonly [number, number];
  before: readonly [number, number];
}

/** A window of one place, as a dense layer on an image has. */
export const pointwise: Window = { size: [1, 1], strides: [1, 1], dilation: [1, 1], before: [0, 0] };
