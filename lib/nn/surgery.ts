// 3.1.2, 3.1.3: surgery. Masking only sets filters and neurons to 0; here the layers really get smaller, and everything
// that depends on them follows: the next layer's inputs, batch normalisation, flatten into dense, sums of branches.

import type { Site } from "../graph/index.ts";
import { checkLength } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { type Dependencies, dependenciesOf } from "./dependency.ts";
import { layerLike, type Part, rebuild } from "./rebuild.ts";
import type { tf } from "./tf.ts";

/** Which units of each group to keep: group name to 1 = kept, 0 = pruned. Groups that are not named stay whole. */
export type Keep = Record<string, Uint8Array>;

/**
 * Builds the smaller model that is left when units are removed; the given one stays as it is.
 *
 * Its outputs equal those of {@link maskGroups} as long as every activation that a pruned unit goes through maps 0 to
 * 0 (ReLU, linear, tanh; not sigmoid).
 *
 * @throws RangeError for a group that the model does not have, a wrong length, and a group that is to lose every unit
 */
export function pruneGroups(model: tf.LayersModel, keep: Keep): tf.LayersModel {
  const dependencies = dependenciesOf(model);
  checkKeep(model, dependencies, keep);
  const stays = staysBy(dependencies, keep);
  const sites = new Map(dependencies.sites.map((site) => [site.node.name, site]));
  return rebuild(model, (layer, name) => [smaller(layer, sites.get(name)!, stays)]);
}

/**
 * The same model at its full size with units set to 0 where they are made: kernel, bias, and where batch normalisation
 * or a depthwise convolution would bring them back, its weights too. For comparison with {@link pruneGroups}.
 */
export function maskGroups(model: tf.LayersModel, keep: Keep): tf.LayersModel {
  const dependencies = dependenciesOf(model);
  checkKeep(model, dependencies, keep);
  const stays = staysBy(dependencies, keep);
  const sites = new Map(dependencies.sites.map((site) => [site.node.name, site]));
  return rebuild(model, (layer, name) => {
    const { outgoing, axes } = sites.get(name)!;
    const weights = layer.weights.map((weight, i) => {
      const values = Float32Array.from(weight.read().dataSync());
      const { out } = axes[i];
      if (out === undefined) return values;
      const shape = weight.shape as number[];
      const inner = elements(shape.slice(out + 1));
      // A variance of 0 would divide by 0; with scale and offset 0 it does not matter what it is.
      if (weight.originalName.endsWith("moving_variance")) return values;
      return values.map((value, at) => (stays(outgoing[Math.floor(at / inner) % shape[out]]) ? value : 0));
    });
    return [{ layer: layerLike(layer, { name }), weights }];
  });
}

function checkKeep(model: tf.LayersModel, { groups }: Dependencies, keep: Keep): void {
  for (const [name, mask] of Object.entries(keep)) {
    const group = groups.find((candidate) => candidate.name === name);
    if (!group) {
      const names = groups.map((candidate) => candidate.name).join(", ") || "none";
      throw new RangeError(`${model.name} has no group ${JSON.stringify(name)} to prune; it has: ${names}`);
    }
    checkLength(`keep of ${name}`, mask, group.size);
    const wrong = mask.findIndex((value) => value !== 0 && value !== 1);
    if (wrong >= 0)
      throw new RangeError(`keep of ${name} must hold 0 and 1, got ${mask[wrong]} at index ${wrong}`);
    if (!mask.includes(1))
      throw new RangeError(
        `keep of ${name} must keep at least 1 of ${group.size} units: without any, nothing gets through`,
      );
  }
}

function staysBy({ placeOf }: Dependencies, keep: Keep): (unit: number) => boolean {
  return (unit) => {
    const place = placeOf(unit);
    return place === undefined || keep[place.group] === undefined || keep[place.group][place.index] === 1;
  };
}

/** A layer with the channels that stay, and their weights. */
function smaller(
  layer: tf.layers.Layer,
  { node, incoming, outgoing, axes }: Site,
  stays: (unit: number) => boolean,
): Part {
  const places = (units: number[]) => units.flatMap((unit, place) => (stays(unit) ? [place] : []));
  const [inputs, outputs] = [places(incoming), places(outgoing)];
  const weights = layer.weights.map((weight, i) => {
    const { in: inAxis, inRepeat = 1, out } = axes[i];
    let shape = weight.shape as number[];
    let values: ArrayLike<number> = weight.read().dataSync();
    if (inAxis !== undefined) {
      const rows = inputs.flatMap((place) =>
        Array.from({ length: inRepeat }, (_, k) => place * inRepeat + k),
      );
      [values, shape] = take(values, shape, inAxis, rows);
    }
    if (out !== undefined) [values, shape] = take(values, shape, out, outputs);
    return values;
  });
  const changes: tf.serialization.ConfigDict = { name: node.name };
  if (outputs.length < outgoing.length)
    for (const size of ["units", "filters"]) if (size in node.attributes) changes[size] = outputs.length;
  return { layer: layerLike(layer, changes), weights };
}

/** The slices at `places` of one axis of a row-major array. */
function take(
  values: ArrayLike<number>,
  shape: number[],
  axis: number,
  places: number[],
): [values: Float32Array, shape: number[]] {
  const inner = elements(shape.slice(axis + 1));
  const outer = elements(shape.slice(0, axis));
  const result = new Float32Array(outer * places.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const place of places) {
      const from = (o * shape[axis] + place) * inner;
      for (let i = 0; i < inner; i++) result[at++] = values[from + i];
    }
  return [result, shape.with(axis, places.length)];
}
