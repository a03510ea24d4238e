// §3.1.3 step 1: how much each neuron matters, from what it gives out over some examples and how the loss
// answers to that. Step 2 is any strategy of strategies.ts on these scores. The scores of filter-scores.ts work for
// neurons too (meanActivation, and those from weights).

import { meanByChannel, normByChannel } from "./channels.ts";

/**
 * The norm of each neuron's output over the examples: L2, √Σa².
 *
 * @param outputs [examples, neurons], flat
 * @param neurons the last dimension
 * @returns one score a neuron
 * @throws RangeError if the shape does not fit, or an output is NaN or infinite
 * @see §3.1.3; He et al., "Reshaping deep neural network for fast decoding by node-pruning", 2014
 */
export function outputNorm(outputs: Float32Array, neurons: number): Float32Array {
  return normByChannel("outputs", outputs, neurons, 2);
}

/**
 * The mean of |∂loss/∂output| of each neuron over the examples.
 *
 * @param gradients [examples, neurons], flat
 * @returns one score a neuron; 0 for no examples
 * @throws RangeError if the shape does not fit, or a gradient is NaN or infinite
 * @see §3.1.3
 */
export function meanAbsoluteGradient(gradients: Float32Array, neurons: number): Float32Array {
  return meanByChannel("gradients", gradients, neurons);
}

/**
 * The share of examples for which each neuron gives out something: 1 − APoZ, its average percentage of zeros.
 *
 * @param outputs after a ReLU, [examples, …, neurons], flat
 * @returns one score a neuron, from 0 (dead) to 1; 0 for no examples
 * @throws RangeError if the shape does not fit, or an output is NaN or infinite
 * @see §3.1.3; Hu, Peng, Tai, Tang, "Network trimming", 2016
 */
export function activeShare(outputs: Float32Array, neurons: number): Float32Array {
  return meanByChannel("outputs", outputs, neurons, (a) => Number(a > 0));
}
