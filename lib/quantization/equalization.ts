// §3.2.1, item 3: repairs that need no labels and no training. Nagel et al., "Data-free quantization through weight
// equalization and bias correction", 2019.
import { checkFinite, checkInteger, checkLength } from "../util/check.ts";

/** Two consecutive layers after equalization. */
export interface Equalized {
  first: Float32Array;
  bias: Float32Array | undefined;
  second: Float32Array;
  /** What each channel between them was divided by. */
  scales: Float64Array;
}

/**
 * Cross-layer equalization (Nagel et al. 2019, §4.1). A ReLU lets positive factors through, so a channel between two
 * layers may be divided by s in the first and multiplied by s in the second: the network computes the same. With
 * s = √(r₁·r₂) / r₂, both layers use the same range for the channel, and no channel wastes the range of its layer.
 *
 * @param first weights whose last axis are the channels, row-major
 * @param bias of the first layer, if any
 * @param second weights [rows, cols], row-major, where row r reads channel r mod `channels`: a dense kernel, a
 *   convolution's [h·w·channels, filters], or a dense kernel behind a flattened [h, w, channels]
 * @throws RangeError for lengths that do not fit, NaN or infinite weights
 */
export function equalize(
  first: Float32Array,
  bias: Float32Array | undefined,
  second: Float32Array,
  channels: number,
  rows: number,
): Equalized {
  checkInteger("channels", channels, 1);
  checkInteger("rows", rows, 0);
  if (first.length % channels !== 0)
    throw new RangeError(`first must be rows of ${channels} weights, got ${first.length}`);
  if (rows % channels !== 0) throw new RangeError(`rows must be a multiple of ${channels}, got ${rows}`);
  if (bias) checkLength("bias", bias, channels);
  checkFinite("first", first);
  checkFinite("second", second);
  const cols = rows === 0 ? 0 : second.length / rows;
  checkInteger("second.length / rows", cols, 0);
  const firstRange = new Float64Array(channels);
  const secondRange = new Float64Array(channels);
  for (let i = 0; i < first.length; i++) {
    firstRange[i % channels] = Math.max(firstRange[i % channels], Math.abs(first[i]));
  }
  for (let r = 0; r < rows; r++) {
    const c = r % channels;
    for (let j = 0; j < cols; j++) secondRange[c] = Math.max(secondRange[c], Math.abs(second[r * cols + j]));
  }
  // A channel that is 0 on either side has no range to share.
  const scales = firstRange.map((r1, c) =>
    r1 > 0 && secondRange[c] > 0 ? Math.sqrt(r1 / secondRange[c]) : 1,
  );
  return {
    first: first.map((w, i) => w / scales[i % channels]),
    bias: bias?.map((b, c) => b / scales[c]),
    second: second.map((w, i) => w * scales[Math.floor(i / cols) % channels]),
    scales,
  };
}

/**
 * How much quantization shifts a layer's mean outputs (Nagel et al. 2019, §4.2): Σᵢ ŵᵢⱼ·E[x̂ᵢ] − wᵢⱼ·E[xᵢ]. Subtract it
 * from the bias.
 *
 * @param before weights [inputs, outputs], row-major
 * @param after what quantization made of them
 * @param mean mean of each input on calibration data
 * @param meanAfter the same once the layers before are quantized too; default: no other than `mean`
 * @returns one number an output
 */
export function outputShift(
  before: Float32Array,
  after: Float32Array,
  mean: ArrayLike<number>,
  meanAfter: ArrayLike<number> = mean,
): Float64Array {
  checkLength("after", after, before.length);
  checkLength("meanAfter", meanAfter, mean.length);
  checkFinite("before", before);
  checkFinite("after", after);
  const outputs = mean.length === 0 ? 0 : before.length / mean.length;
  checkInteger("before.length / mean.length", outputs, 0);
  const shift = new Float64Array(outputs);
  for (let i = 0; i < mean.length; i++) {
    for (let o = 0; o < outputs; o++) {
      shift[o] += after[i * outputs + o] * meanAfter[i] - before[i * outputs + o] * mean[i];
    }
  }
  return shift;
}
