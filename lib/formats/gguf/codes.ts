// Matrices that are quantized already, as the blocks of GGUF that hold the same codes: what was rounded with care (GPTQ, AWQ)
// is not rounded again.
import type { Quantized } from "../../quantization/index.ts";
import { toHalf } from "../../util/half.ts";
import { type GgufType, ggufTypes } from "./blocks.ts";

/** The types that can hold codes as they are: bits and scheme of each. */
const holders = {
  Q4_0: { bits: 4, scheme: "symmetric" },
  Q4_1: { bits: 4, scheme: "affine" },
  Q8_0: { bits: 8, scheme: "symmetric" },
} as const;

/**
 * The type of GGUF that can hold codes as they are: 4 symmetric bits Q4_0, 4 affine ones Q4_1, 8 symmetric ones Q8_0.
 *
 * @param q [outputs, inputs], scales along axis 0 in groups of 32, inputs a multiple of 32
 * @throws RangeError for what none of the three can hold
 */
export function ggufTypeOf({ bits, scheme, signed, shape, axis, group }: Omit<Quantized, "codes">): GgufType {
  const found = Object.entries(holders).find(
    ([, own]) => own.bits === bits && own.scheme === scheme && signed === (scheme === "symmetric"),
  );
  if (!found || shape.length !== 2 || axis !== 0 || group !== 32 || shape[1] % 32 !== 0)
    throw new RangeError(
      `codes must have 4 bits or 8 symmetric ones, along rows of [outputs, inputs] in groups of 32, got ${bits} ${scheme} bits, [${shape}], axis ${axis} and groups of ${group}`,
    );
  return found[0] as GgufType;
}

/**
 * Codes as blocks of {@link ggufTypeOf}.
 *
 * Scales are float16. Q4_1 stores the smallest value of a group, not a zero point: it is rounded to float16, which moves a
 * group's values by less than 2^-11 of it.
 */
export function ggufBlocksOf(q: Quantized): { type: GgufType; bytes: Uint8Array<ArrayBuffer> } {
  const type = ggufTypeOf(q);
  const [outputs, inputs] = q.shape;
  const size = ggufTypes[type].bytes;
  const groups = inputs / 32;
  const bytes = new Uint8Array(outputs * groups * size);
  const view = new DataView(bytes.buffer);
  for (let o = 0, block = 0; o < outputs; o++)
    for (let g = 0; g < groups; g++, block += size) {
      const scale = q.scale[g * outputs + o];
      view.setUint16(block, toHalf(scale), true);
      const from = o * inputs + 32 * g;
      if (type === "Q8_0") {
        for (let i = 0; i < 32; i++) view.setInt8(block + 2 + i, q.codes[from + i]);
        continue;
      }
      if (type === "Q4_1") view.setUint16(block + 2, toHalf(-scale * q.zeroPoint[g * outputs + o]), true);
      const head = type === "Q4_1" ? 4 : 2;
      const shift = type === "Q4_1" ? 0 : 8;
      // The first sixteen lie in the low halves, the others in the high ones.
      for (let i = 0; i < 16; i++)
        bytes[block + head + i] = (q.codes[from + i] + shift) | ((q.codes[from + 16 + i] + shift) << 4);
    }
  return { type, bytes };
}
