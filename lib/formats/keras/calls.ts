// A Keras network as the calls of its layers, in either of the ways in which versions write them; nested models are taken
// apart, their layers named by the way to them.
import { shown } from "../../util/check.ts";
import type { Operation } from "../import/builder.ts";
import { checkEntry, isEntry, type KerasEntry, said } from "./settings.ts";

/** One call of a layer. */
export interface LayerCall extends Operation {
  entry: KerasEntry;
  /** Names of the models that the layer is in, and its own. */
  path: readonly string[];
  /** What a layer is called with beside values: the numbers of an operator, in their places among its inputs. */
  numbers: readonly (number | undefined)[];
  /** An input's shape as the file has it, the batch first. */
  shape?: unknown;
}

export interface KerasCalls {
  calls: LayerCall[];
  outputs: string[];
}

const containers = new Set(["Sequential", "Functional", "Model"]);
const deepest = 20;
const most = 20_000;

/** Whether an entry is a model that is made of layers. */
export const isContainer = ({ class_name, config }: KerasEntry): boolean =>
  containers.has(class_name) && Array.isArray(config.layers);

/** The layers of a model, in its order. */
export function layersOf(model: KerasEntry): { name: string; entry: KerasEntry }[] {
  return (model.config.layers as unknown[]).map((layer, i) => {
    const entry = checkEntry(layer, `layer ${i}`);
    const name = (layer as { name?: unknown }).name ?? entry.config.name;
    return { name: typeof name === "string" ? name : `layer_${i}`, entry };
  });
}

/**
 * All calls of a network's layers.
 *
 * @throws RangeError for settings that are no network's
 */
export function callsOf(model: KerasEntry): KerasCalls {
  if (!isContainer(model))
    throw new RangeError(
      `${shown(model.class_name)} is a class of one's own, of which the file has no layers: only Sequential and functional models are read`,
    );
  const flattened = new Flattening();
  const outputs = flattened.model(model, [], "", undefined);
  return {
    calls: flattened.calls.map((call) => ({
      ...call,
      inputs: call.inputs.map((key) => flattened.resolve(key)),
    })),
    outputs: outputs.map((key) => flattened.resolve(key)),
  };
}

class Flattening {
  readonly calls: LayerCall[] = [];
  /** Values that are another's under a second name. */
  readonly #alias = new Map<string, string>();

  resolve(key: string): string {
    let at = key;
    for (let steps = 0; this.#alias.has(at); steps++) {
      if (steps > this.#alias.size) throw new RangeError(`layers go in a circle at ${shown(key)}`);
      at = this.#alias.get(at)!;
    }
    return at;
  }

  /** Adds a model's calls; `given` is what it is called with where it is inside another. */
  model(
    model: KerasEntry,
    path: readonly string[],
    scope: string,
    given: readonly string[] | undefined,
  ): string[] {
    if (path.length > deepest) throw new RangeError(`models stand in models, more than ${deepest} deep`);
    return model.class_name === "Sequential"
      ? [this.#chain(model, path, scope, given)]
      : this.#graph(model, path, scope, given);
  }

  #chain(
    model: KerasEntry,
    path: readonly string[],
    scope: string,
    given: readonly string[] | undefined,
  ): string {
    const layers = layersOf(model);
    if (given && given.length !== 1)
      throw new RangeError(`${said(path.at(-1))} is called with ${given.length} values`);
    let current = given?.[0];
    for (const [i, { name, entry }] of layers.entries()) {
      if (entry.class_name === "InputLayer") {
        if (i > 0) throw new RangeError(`an InputLayer stands behind other layers`);
        current ??= this.#input(name, entry, path, scope);
        continue;
      }
      current ??= this.#input(
        "input",
        { class_name: "InputLayer", config: { batch_shape: firstShape(model) } },
        path,
        scope,
      );
      [current] = this.#call(name, entry, path, scope, 0, [current], []);
    }
    if (current === undefined) throw new RangeError("the network has no layers");
    return current;
  }

  #graph(
    model: KerasEntry,
    path: readonly string[],
    scope: string,
    given: readonly string[] | undefined,
  ): string[] {
    const inputs = references(model.config.input_layers).map(({ layer }) => layer);
    const results = references(model.config.output_layers);
    const layers = layersOf(model).map((layer) => ({ ...layer, nodes: inboundNodes(layer.entry) }));
    const first = firstNodes(layers, results);
    if (given && given.length !== inputs.length)
      throw new RangeError(
        `${said(path.at(-1))} has ${inputs.length} inputs and is called with ${given.length}`,
      );
    for (const { name, entry, nodes } of layers) {
      if (entry.class_name === "InputLayer") {
        const at = inputs.indexOf(name);
        const value = given && at >= 0 ? given[at] : this.#input(name, entry, path, scope);
        if (value !== keyOf(scope, name, 0, 0)) this.#alias.set(keyOf(scope, name, 0, 0), value);
        continue;
      }
      for (const [call, args] of nodes.entries()) {
        const node = call + first(name);
        const values = args.map((arg) =>
          typeof arg === "number" ? undefined : keyOf(scope, arg.layer, arg.node, arg.tensor),
        );
        const numbers = args.map((arg) => (typeof arg === "number" ? arg : undefined));
        const outputs = this.#call(
          name,
          entry,
          path,
          scope,
          node,
          values.filter((v) => v !== undefined),
          numbers,
        );
        for (const [tensor, output] of outputs.entries()) {
          const key = keyOf(scope, name, node, tensor);
          if (output !== key) this.#alias.set(key, output);
        }
      }
    }
    return results.map(({ layer, node, tensor }) => keyOf(scope, layer, node, tensor));
  }

  #input(name: string, entry: KerasEntry, path: readonly string[], scope: string): string {
    const { config } = entry;
    const shape = config.batch_shape ?? config.batch_input_shape;
    return this.#put(
      { entry, name, op: "InputLayer", path: [...path, name], inputs: [], numbers: [], shape },
      scope,
      0,
    );
  }

  #call(
    name: string,
    entry: KerasEntry,
    path: readonly string[],
    scope: string,
    node: number,
    inputs: string[],
    numbers: (number | undefined)[],
  ): string[] {
    const own = [...path, name];
    if (isContainer(entry)) return this.model(entry, own, `${scope}${name}:${node}/`, inputs);
    const op = entry.class_name;
    return [this.#put({ entry, name: own.join("/"), op, path: own, inputs, numbers }, scope, node)];
  }

  #put(call: Omit<LayerCall, "outputs">, scope: string, node: number): string {
    if (this.calls.length >= most) throw new RangeError(`more than ${most} calls of layers`);
    const key = keyOf(scope, call.path.at(-1)!, node, 0);
    this.calls.push({ ...call, outputs: [key] });
    return key;
  }
}

const keyOf = (scope: string, layer: string, node: number, tensor: number) =>
  `${scope}${layer}:${node}:${tensor}`;

interface ValueReference {
  layer: string;
  node: number;
  tensor: number;
}

/**
 * The number of a layer's first call. Models are counted from 1 where their own making was a call, from 0 where not, which
 * differs by version and class: what others read of them tells.
 */
function firstNodes(
  layers: readonly { name: string; nodes: (ValueReference | number)[][] }[],
  results: readonly ValueReference[],
): (name: string) => 0 | 1 {
  const counts = new Map(layers.map(({ name, nodes }) => [name, nodes.length]));
  const shifted = new Set<string>();
  for (const value of [...layers.flatMap(({ nodes }) => nodes.flat()), ...results])
    if (typeof value !== "number" && value.node > 0 && value.node === counts.get(value.layer))
      shifted.add(value.layer);
  return (name) => (shifted.has(name) ? 1 : 0);
}

/** ["layer", 0, 0], a list of such, or an object of such. */
function references(value: unknown): ValueReference[] {
  if (isEntry(value)) return Object.values(value).flatMap(references);
  if (!Array.isArray(value)) throw new RangeError(`inputs and outputs must be lists, got ${said(value)}`);
  const [layer, node = 0, tensor = 0] = value;
  if (typeof layer === "string") {
    if (![node, tensor].every((n) => Number.isSafeInteger(n) && Number(n) >= 0))
      throw new RangeError(`a value must have numbers of a call and an output, got ${said(value)}`);
    return [{ layer, node: Number(node), tensor: Number(tensor) }];
  }
  return value.flatMap(references);
}

/** What each call of a layer reads: values of other layers, and numbers. */
function inboundNodes({ inbound_nodes: nodes = [] }: KerasEntry): (ValueReference | number)[][] {
  if (!Array.isArray(nodes)) throw new RangeError(`inbound_nodes must be a list, got ${said(nodes)}`);
  return nodes.map((node) => {
    // Keras 3: { args, kwargs }, with the values inside.
    if (isEntry(node)) return tensorsIn([node.args, ownArguments(node.kwargs)]);
    // Keras 2: [["layer", 0, 0, { … }], …], or the one value alone.
    if (!Array.isArray(node)) throw new RangeError(`a call must be a list, got ${said(node)}`);
    const list = typeof node[0] === "string" ? [node] : node;
    return list.flatMap((value) => {
      if (Array.isArray(value) && isEntry(value[3]) && tensorsIn(ownArguments(value[3])).length > 0)
        throw new RangeError(`a call with values by name, ${said(value[3])}, is not supported`);
      return references(value);
    });
  });
}

/** Arguments by name that can be values: masks and modes of training are none. */
function ownArguments(kwargs: unknown): unknown {
  if (!isEntry(kwargs)) return [];
  return Object.entries(kwargs).flatMap(([name, value]) =>
    name === "training" || (name === "mask" && value === null) ? [] : [value],
  );
}

function tensorsIn(value: unknown): (ValueReference | number)[] {
  if (typeof value === "number") return [value];
  if (Array.isArray(value)) return value.flatMap(tensorsIn);
  if (!isEntry(value)) return [];
  if (value.class_name === "__keras_tensor__" && isEntry(value.config))
    return references(value.config.keras_history);
  return Object.values(value).flatMap(tensorsIn);
}

/** The shape of what a Sequential without an InputLayer reads. */
function firstShape(model: KerasEntry): unknown {
  const { config, build_config: build } = model;
  const own = config.build_input_shape ?? (isEntry(build) ? build.input_shape : undefined);
  if (own !== undefined && own !== null) return own;
  const [first] = layersOf(model);
  if (!first) return undefined;
  const { entry } = first;
  const given = entry.config.batch_input_shape ?? entry.config.batch_shape;
  return given ?? (isContainer(entry) ? firstShape(entry) : undefined);
}
