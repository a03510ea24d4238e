// `slimlab convert --in-place`: the matrices of an .onnx file, compressed where they stand.

import { compressOnnx, type OnnxLayout, onnxLayouts } from "../../formats/index.ts";
import { checkOneOf } from "../../util/check.ts";
import { untilInterrupted } from "../../util/interrupt.ts";
import { progress } from "../../util/progress.ts";
import type { ConvertOptions } from "./options.ts";

/** An .onnx file whose matrices are compressed where they stand. */
export async function convertInPlace(
  from: string,
  to: string,
  weights: string,
  { group, layout, data, keepFloatBelow }: ConvertOptions,
): Promise<string> {
  if (!from.toLowerCase().endsWith(".onnx") || !to.toLowerCase().endsWith(".onnx"))
    throw new Error("--in-place, --group and --layout go from an .onnx file to an .onnx file");
  if (data !== undefined)
    throw new Error("--data needs a network of layers: --in-place changes weights alone");
  checkOneOf("--weights in place", weights, ["int4", "int8"]);
  if (layout !== undefined) checkOneOf("--layout", layout, onnxLayouts as readonly string[]);
  let bar: ReturnType<typeof progress> | undefined;
  try {
    const { changed, left } = await untilInterrupted((signal) =>
      compressOnnx(from, to, {
        bits: weights === "int4" ? 4 : 8,
        ...(group === undefined ? {} : { group }),
        ...(keepFloatBelow === undefined ? {} : { smallest: keepFloatBelow }),
        ...(layout === undefined ? {} : { layout: layout as OnnxLayout }),
        onTensor: (name, done, total) => {
          bar ??= progress("matrices", total);
          bar.update(done, name);
        },
        signal,
      }),
    );
    const worst = changed.reduce((most, entry) => (entry.error > most.error ? entry : most));
    // Many stay for one reason.
    const large = new Map<string, string[]>();
    for (const { name, bytes, why } of left)
      if (bytes >= 65_536) large.set(why, [...(large.get(why) ?? []), name]);
    const reasons = [...large].map(([why, names]) => `${names.join(", ")} (${why})`);
    return [
      `${changed.length} matrices in ${weights === "int4" ? 4 : 8} bits, the largest relative error ${worst.error.toFixed(4)} (${worst.name})`,
      ...(reasons.length > 0 ? [`as they were: ${reasons.join("; ")}`] : []),
    ].join("; ");
  } finally {
    bar?.end();
  }
}
