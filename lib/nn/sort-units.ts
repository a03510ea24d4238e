// §4.3 Hidden units have no order of their own: a network computes the same whichever comes first. A file that codes units one
// after the other learns faster when they come by their number of inputs.

import { elements } from "../util/shape.ts";
import { whyNot } from "./dead-units.ts";
import { dependenciesOf } from "./dependency.ts";
import type { tf } from "./tf.ts";
import { biasesOf, shapesOf, weightsOf } from "./weights.ts";

/** New orders of a model's units. */
export interface UnitOrders {
  /** By kernel name: which old place each new one takes its weight from. Kernels without an entry stay. */
  kernels: Record<string, Uint32Array>;
  /** The same of biases, by layer name. */
  biases: Record<string, Uint32Array>;
  /** Groups that were left as they are, and why. */
  skipped: Record<string, string>;
}

/**
 * The orders in which each group's units come by their number of inputs that are not 0, most first. Equal ones keep their
 * order. Only groups that `foldDeadUnits` can treat are sorted: one layer makes them, one reads them.
 */
export function unitOrders(model: tf.LayersModel): UnitOrders {
  const weights = weightsOf(model);
  const biases = biasesOf(model);
  const shapes = shapesOf(model);
  const units: Record<string, { out?: Uint32Array; in?: Uint32Array }> = {};
  const skipped: Record<string, string> = {};
  for (const group of dependenciesOf(model).groups) {
    const why = whyNot(model, group, biases);
    if (why) {
      skipped[group.name] = why;
      continue;
    }
    const [producer, consumer] = [group.layers[0], group.consumers[0]];
    if (!weights[producer]) {
      skipped[group.name] = `${producer} has more than one kernel`;
      continue;
    }
    const inputs = new Uint32Array(group.size);
    weights[producer].forEach((value, i) => {
      if (value !== 0) inputs[i % group.size]++;
    });
    // Array.prototype.sort is stable.
    const order = Uint32Array.from(Array.from(inputs.keys()).sort((a, b) => inputs[b] - inputs[a]));
    units[producer] = { ...units[producer], out: order };
    units[consumer] = { ...units[consumer], in: order };
  }
  const kernels = Object.entries(units).map(
    ([name, orders]) => [name, placesOf(shapes[name], orders)] as const,
  );
  const made = Object.entries(units).flatMap(([name, { out }]) => (out ? [[name, out] as const] : []));
  return { kernels: Object.fromEntries(kernels), biases: Object.fromEntries(made), skipped };
}

/** Old places of a kernel's weights: columns are units made; rows are units read, the unit running fastest. */
function placesOf(shape: number[], orders: { out?: Uint32Array; in?: Uint32Array }): Uint32Array {
  const cols = shape.at(-1)!;
  const size = elements(shape);
  const places = new Uint32Array(size);
  for (let i = 0; i < size; i++) {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const read = orders.in;
    const from = read ? row - (row % read.length) + read[row % read.length] : row;
    places[i] = from * cols + (orders.out ? orders.out[col] : col);
  }
  return places;
}
