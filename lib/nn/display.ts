// How models and data frames show themselves in a notebook, by the convention of Symbol.for("Jupyter.display"). Tensors
// are left to the kernel, which shows those of any library and never reads a large one.

import { display } from "../util/display.ts";
import { frameOf, tableOf } from "../util/table.ts";
import { tf } from "./tf.ts";

/** What a value shows of itself, by MIME type. */
type Bundle = Record<string, string>;

/** The part of danfojs's DataFrame and Series that showing one takes. */
interface Frame {
  $isSeries?: boolean;
  columns: string[];
  index: (string | number)[];
  values: unknown[];
  toString(): string;
}

show(tf.LayersModel.prototype, describeModel);

/** Lets data frames of a loaded danfojs show themselves as tables. */
export function showDataFrames(danfo: {
  DataFrame: { prototype: object };
  Series: { prototype: object };
}): void {
  show(danfo.DataFrame.prototype, describeFrame);
  show(danfo.Series.prototype, describeFrame);
}

function show<T>(prototype: object, describe: (value: T) => Bundle): void {
  Object.defineProperty(prototype, display, {
    configurable: true,
    value(this: T) {
      return describe(this);
    },
  });
}

function describeModel(model: tf.LayersModel): Bundle {
  const rows = model.layers.map((layer) => {
    const shape = [layer.outputShape].flat().slice(1).join(" x ");
    return [layer.name, layer.getClassName(), shape, layer.countParams().toLocaleString("en")];
  });
  const title = `${model.name}: ${model.countParams().toLocaleString("en")} parameters`;
  return tableOf(["layer", "kind", "output", "parameters"], rows, title);
}

function describeFrame({ columns, index, values }: Frame): Bundle {
  return frameOf(
    columns,
    index,
    values.map((row) => (Array.isArray(row) ? row : [row])),
  );
}
