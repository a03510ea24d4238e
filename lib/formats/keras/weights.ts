// Which arrays of a file are a layer's. In .keras files groups are numbered by class and say in an attribute whose they are;
// in .h5 files each layer of the outermost model has a group with a list of names.
import { shown } from "../../util/check.ts";
import type { Constant } from "../import/builder.ts";
import type { KerasFile } from "./archive.ts";
import { isContainer, layersOf } from "./calls.ts";
import type { H5Group } from "./hdf5-messages.ts";
import type { KerasEntry } from "./settings.ts";

/** A weight with the last part of its name, where the file has one. */
export interface NamedWeight {
  name?: string;
  weight: Constant;
}

/** A layer's weights in Keras's order, by the way to it. */
export type WeightsOf = (path: readonly string[]) => NamedWeight[];

export function weightsOf({ weights, byName }: KerasFile, model: KerasEntry): WeightsOf {
  if (byName) {
    const leaves = leavesOf(model);
    return (path) => namedWeights(weights, path, leaves);
  }
  const groups = new Map<string, H5Group>();
  gather(weights, model, [], groups);
  return (path) => {
    const group = groups.get(path.join("\n"));
    return group ? ownWeights(group) : [];
  };
}

/** What Keras calls the group of a class: Conv2D is conv2d, BatchNormalization batch_normalization. */
function snakeCase(name: string): string {
  return name
    .replace(/\W+/g, "")
    .replace(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase();
}

/** Finds each layer's group: by the name that it says, or, in files of Keras 2, by the count of its class. */
function gather(
  group: H5Group,
  model: KerasEntry,
  path: readonly string[],
  found: Map<string, H5Group>,
): void {
  const inner = group.groups.get("layers") ?? group.groups.get("_layer_checkpoint_dependencies");
  if (!inner) return;
  const said = new Map<string, H5Group>();
  for (const each of inner.groups.values()) {
    const name = each.groups.get("vars")?.attributes.get("name");
    if (typeof name === "string") said.set(name, each);
  }
  const counts = new Map<string, number>();
  for (const { name, entry } of layersOf(model)) {
    const own = snakeCase(entry.class_name);
    const count = counts.get(own) ?? 0;
    counts.set(own, count + 1);
    const counted = inner.groups.get(count === 0 ? own : `${own}_${count}`);
    const mine = said.size > 0 ? said.get(name) : counted;
    if (!mine) continue;
    const way = [...path, name];
    found.set(way.join("\n"), mine);
    if (isContainer(entry)) gather(mine, entry, way, found);
  }
}

/** The parts of a layer that have weights of their own, in the order of its weights. */
const parts = ["cell", "forward_layer", "backward_layer", "layer"];

function ownWeights(group: H5Group): NamedWeight[] {
  const arrays = group.groups.get("vars")?.arrays ?? new Map<string, Constant>();
  const own = [...arrays.keys()].sort((a, b) => Number(a) - Number(b));
  return [
    ...own.map((key) => ({ weight: arrays.get(key)! })),
    ...parts.flatMap((part) => {
      const inner = group.groups.get(part);
      return inner ? ownWeights(inner) : [];
    }),
  ];
}

/**
 * A layer's weights by their names: "inner/dense/kernel", "dense/kernel", "lstm/lstm_cell/kernel:0", whatever the version.
 * Layers of one name in several models inside one stand in the order in which these have them.
 */
function namedWeights(
  root: H5Group,
  path: readonly string[],
  leaves: readonly (readonly string[])[],
): NamedWeight[] {
  const group = root.groups.get(path[0]);
  if (!group) return [];
  // Long lists are cut into pieces: weight_names0, weight_names1.
  const names = [...group.attributes]
    .filter(([key]) => /^weight_names\d*$/.test(key))
    .sort(([a], [b]) => Number(a.slice(12)) - Number(b.slice(12)))
    .flatMap(([, value]) => (Array.isArray(value) ? value : []).map(String));
  let own = names;
  if (path.length > 1) {
    const name = path.at(-1)!;
    const owners = new Set(names.map(ownerOf).filter((owner) => owner.split("/").includes(name)));
    const namesakes = leaves.filter((leaf) => leaf[0] === path[0] && leaf.at(-1) === name);
    const way = path.join("/");
    if (owners.size !== 1 && owners.size !== namesakes.length)
      throw new RangeError(
        `the file has weights of ${owners.size} layers of its name, where there are ${namesakes.length}`,
      );
    const at = owners.size === 1 ? 0 : namesakes.findIndex((leaf) => leaf.join("/") === way);
    const owner = [...owners][at];
    own = names.filter((each) => ownerOf(each) === owner);
  }
  return own.map((name) => {
    const steps = name.split("/");
    let at: H5Group | undefined = group;
    for (const step of steps.slice(0, -1)) at = at?.groups.get(step);
    const weight = at?.arrays.get(steps.at(-1)!);
    if (!weight) throw new RangeError(`a weight ${shown(name)} that the file names is not in it`);
    return { name: steps.at(-1)!.replace(/:\d+$/, ""), weight };
  });
}

/** The part of a weight's name that is its layer's. */
const ownerOf = (name: string) => name.slice(0, Math.max(0, name.lastIndexOf("/")));

/** The ways to all layers that are no models. */
function leavesOf(model: KerasEntry, path: readonly string[] = []): string[][] {
  return layersOf(model).flatMap(({ name, entry }) =>
    isContainer(entry) ? leavesOf(entry, [...path, name]) : [[...path, name]],
  );
}
