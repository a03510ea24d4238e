// §4.3 The tables 2 and 3 of "Deep Compression" for a network of ours: what each layer's codes and positions take, packed as
// the paper's second stage leaves them, and Huffman-coded as its third does. Counted in the bytes of real files (version 1
// of .slim, which keeps codes and gaps in streams of their own), codebooks and code tables included.

import { type SlimPart, slimParts } from "../../coding/index.ts";
import { type Compression, slimOf, type tf, weightsOf } from "../../nn/index.ts";
import type { LayerRow } from "./results.ts";

/**
 * What the paper's tables 2 and 3 say (arXiv:1510.00149v5; its ip1, ip2, ip3 are our fc1, fc2, fc3): shares of the 32-bit
 * floats and bits per weight. Table 2 was checked against two transcriptions of the paper, which agree on every figure;
 * table 3 was seen whole in one of them only.
 */
export const publishedTables = {
  "lenet-300-100": {
    fc1: {
      weights: 235_000,
      kept: 0.08,
      codeBits: 6,
      codeBitsCoded: 4.4,
      indexBits: 5,
      indexBitsCoded: 3.7,
      share: 0.031,
      shareCoded: 0.0232,
    },
    fc2: {
      weights: 30_000,
      kept: 0.09,
      codeBits: 6,
      codeBitsCoded: 4.4,
      indexBits: 5,
      indexBitsCoded: 4.3,
      share: 0.038,
      shareCoded: 0.0304,
    },
    fc3: {
      weights: 1_000,
      kept: 0.26,
      codeBits: 6,
      codeBitsCoded: 4.3,
      indexBits: 5,
      indexBitsCoded: 3.2,
      share: 0.157,
      shareCoded: 0.127,
    },
    total: {
      weights: 266_000,
      kept: 0.08,
      codeBits: 6,
      codeBitsCoded: 5.1,
      indexBits: 5,
      indexBitsCoded: 3.7,
      share: 0.031,
      shareCoded: 0.0249,
    },
  },
  "lenet-5": {
    conv1: {
      weights: 500,
      kept: 0.66,
      codeBits: 8,
      codeBitsCoded: 7.2,
      indexBits: 5,
      indexBitsCoded: 1.5,
      share: 0.785,
      shareCoded: 0.6745,
    },
    conv2: {
      weights: 25_000,
      kept: 0.12,
      codeBits: 8,
      codeBitsCoded: 7.2,
      indexBits: 5,
      indexBitsCoded: 3.9,
      share: 0.06,
      shareCoded: 0.0528,
    },
    fc1: {
      weights: 400_000,
      kept: 0.08,
      codeBits: 5,
      codeBitsCoded: 4.5,
      indexBits: 5,
      indexBitsCoded: 4.5,
      share: 0.027,
      shareCoded: 0.0245,
    },
    fc2: {
      weights: 5_000,
      kept: 0.19,
      codeBits: 5,
      codeBitsCoded: 5.2,
      indexBits: 5,
      indexBitsCoded: 3.7,
      share: 0.069,
      shareCoded: 0.0613,
    },
    total: {
      weights: 431_000,
      kept: 0.08,
      codeBits: 5.3,
      codeBitsCoded: 4.1,
      indexBits: 5,
      indexBitsCoded: 4.4,
      share: 0.0305,
      shareCoded: 0.0255,
    },
  },
} as const;

/** The paper's table of a pruned and clustered network; the last row, `total`, counts biases, header and checksum too. */
export async function layerTable(model: tf.LayersModel, compression: Compression): Promise<LayerRow[]> {
  const packed = await slimOf(model, { ...compression, coding: "packed", version: 1 });
  const coded = await slimOf(model, { ...compression, coding: "huffman", version: 1 });
  const [parts, partsCoded] = [slimParts(packed), slimParts(coded)];
  const rows = Object.entries(weightsOf(model)).map(([layer, w]): LayerRow => {
    const kept = w.reduce((n, value) => (value === 0 ? n : n + 1), 0);
    const bits = (list: SlimPart[], stream: string) => (8 * bytesOf(list, layer, stream)) / kept;
    return {
      layer,
      weights: w.length,
      kept: kept / w.length,
      codeBits: bits(parts, "codes"),
      codeBitsCoded: bits(partsCoded, "codes"),
      indexBits: bits(parts, "gaps"),
      indexBitsCoded: bits(partsCoded, "gaps"),
      bytes: bytesOf(parts, layer),
      bytesCoded: bytesOf(partsCoded, layer),
    };
  });
  const weights = rows.reduce((sum, row) => sum + row.weights, 0);
  const kept = rows.reduce((sum, row) => sum + row.weights * row.kept, 0);
  const mean = (of: (row: LayerRow) => number) =>
    rows.reduce((sum, row) => sum + of(row) * row.kept * row.weights, 0) / kept;
  return [
    ...rows,
    {
      layer: "total",
      weights,
      kept: kept / weights,
      codeBits: mean((row) => row.codeBits),
      codeBitsCoded: mean((row) => row.codeBitsCoded),
      indexBits: mean((row) => row.indexBits),
      indexBitsCoded: mean((row) => row.indexBitsCoded),
      bytes: packed.length,
      bytesCoded: coded.length,
    },
  ];
}

/** Bytes of a kernel's streams, or of one of them. */
function bytesOf(parts: SlimPart[], layer: string, stream?: string): number {
  const own = parts.filter((part) => part.tensor === `${layer}/kernel`);
  return own.reduce(
    (sum, part) => (stream === undefined || part.stream === stream ? sum + part.bytes : sum),
    0,
  );
}
