// §3.1.1, sparsity with a pattern that hardware likes: N:M (of every M weights along the input N stay; 2:4 runs
// on sparse tensor cores) and blocks (whole tiles go, so what stays is dense).

import { checkInteger, checkLength } from "../util/check.ts";
import { checkRows } from "./channels.ts";

/**
 * Keeps the `keep` highest of every `of` consecutive scores along the input, for each output by itself; a last
 * group of fewer keeps at most `keep` too. Of equals the earlier go first, as in every strategy here.
 *
 * @param scores [inputs, outputs], row-major; for a convolution [h, w, in, out] the inputs are h·w·in
 * @param outputs the last dimension
 * @param keep N, from 0 to `of`
 * @param of M, at least 1
 * @returns a mask of the same shape, 1 = kept
 * @throws RangeError if the shape does not fit, N or M is not allowed, or a score is NaN or infinite
 * @see §3.1.1; Mishra et al., "Accelerating sparse deep neural networks", 2021; Zhou et al., "N:M", 2021
 */
export function nmMask(scores: Float32Array, outputs: number, keep = 2, of = 4): Uint8Array {
  checkInteger("of", of, 1);
  checkInteger("keep", keep, 0, of);
  const inputs = checkRows("scores", scores, outputs);
  const mask = new Uint8Array(scores.length);
  for (let start = 0; start < inputs; start += of) {
    const end = Math.min(start + of, inputs) * outputs;
    for (let at = start * outputs; at < end; at++) {
      let better = 0;
      for (let other = start * outputs + (at % outputs); other < end; other += outputs) {
        if (scores[other] > scores[at] || (scores[other] === scores[at] && other > at)) better++;
      }
      mask[at] = Number(better < keep);
    }
  }
  return mask;
}

/** A matrix and the blocks it is cut into; those at the right and lower edge may be smaller. */
export interface Blocks {
  rows: number;
  cols: number;
  blockRows: number;
  blockCols: number;
}

/**
 * One score a block: the mean of its elements' scores, so that smaller blocks at the edge compare fairly. Any
 * strategy then prunes blocks, and {@link blockMask} spreads its mask over the weights.
 *
 * @param scores rows × cols, row-major
 * @returns one score a block, row-major
 * @throws RangeError if the shape does not fit, or a score is NaN or infinite
 * @see §3.1.1; Gray, Radford, Kingma, "GPU kernels for block-sparse weights", 2017
 */
export function blockScores(scores: Float32Array, blocks: Blocks): Float32Array {
  const { down, across } = countBlocks(blocks);
  const { rows, cols, blockRows, blockCols } = blocks;
  checkLength("scores", scores, rows * cols);
  if (scores.length > 0) checkRows("scores", scores, cols);
  const sums = new Float64Array(down * across);
  for (let i = 0; i < scores.length; i++) sums[blockOf(i, blocks, across)] += scores[i];
  return Float32Array.from(sums, (sum, b) => {
    const height = Math.min(blockRows, rows - Math.floor(b / across) * blockRows);
    const width = Math.min(blockCols, cols - (b % across) * blockCols);
    return sum / (height * width);
  });
}

/**
 * Spreads a mask of blocks over the weights.
 *
 * @param mask one number a block, row-major, 1 = kept
 * @returns rows × cols, row-major
 * @throws RangeError if the mask has another number of blocks
 */
export function blockMask(mask: Uint8Array, blocks: Blocks): Uint8Array {
  const { down, across } = countBlocks(blocks);
  checkLength("mask", mask, down * across);
  return new Uint8Array(blocks.rows * blocks.cols).map((_, i) => mask[blockOf(i, blocks, across)]);
}

function countBlocks({ rows, cols, blockRows, blockCols }: Blocks) {
  checkInteger("rows", rows, 0);
  checkInteger("cols", cols, 0);
  checkInteger("blockRows", blockRows, 1);
  checkInteger("blockCols", blockCols, 1);
  return { down: Math.ceil(rows / blockRows), across: Math.ceil(cols / blockCols) };
}

const blockOf = (i: number, { cols, blockRows, blockCols }: Blocks, across: number) =>
  Math.floor(Math.floor(i / cols) / blockRows) * across + Math.floor((i % cols) / blockCols);
