// A network that is put together layer by layer while a file of another format is read: the graph grows, each layer's
// output has its shape at once, and all that cannot be read is gathered, so that a file is refused by everything it lacks.
import {
  type Attributes,
  type Graph,
  type GraphNode,
  type GraphTensor,
  outputShapeOf,
} from "../../graph/index.ts";
import { shown } from "../../util/check.ts";
import { elements } from "../../util/shape.ts";
import { FormatError, refuse } from "../error.ts";

/** What a reader of networks gives. */
export interface ImportedNetwork {
  graph: Graph;
  /** What is otherwise in the network than in the file: activations that were in integers, and the like. */
  notes: string[];
}

/** A constant of a file, whatever its type: numbers, row-major. */
export interface Constant {
  shape: readonly number[];
  values: Float32Array;
}

/** Throws a RangeError where sizes are given for an input that the network does not have. */
export function checkNamed(inputShapes: Record<string, readonly number[]>, inputs: readonly string[]): void {
  for (const name of Object.keys(inputShapes))
    if (!inputs.includes(name))
      throw new RangeError(
        `sizes are given for input ${shown(name)}; there ${inputs.length === 1 ? "is" : "are"} ${inputs.map(shown).join(", ")}`,
      );
}

/** The most numbers that one value of a network may have for one example: more is damage, or will not run here. */
const largest = 2 ** 31;

export class NetworkBuilder {
  readonly file: string;
  readonly notes = new Set<string>();
  readonly #nodes: GraphNode[] = [];
  readonly #tensors: Record<string, GraphTensor> = Object.create(null);
  readonly #names = new Set<string>();
  readonly #inputs: string[] = [];
  #earlier: string[] = [];

  constructor(file: string) {
    this.file = file;
  }

  /** An input of the network; the shape is without the batch. */
  input(name: string, shape: readonly number[]): string {
    const own = this.#named(name);
    this.#put({ name: own, kind: "input", inputs: [], outputs: [own], attributes: {}, weights: {} }, shape);
    this.#inputs.push(own);
    return own;
  }

  /**
   * Adds a layer.
   *
   * @param wish a name, which becomes the layer's where it is free
   * @returns the name of what it gives out
   * @throws RangeError for shapes that do not go together
   */
  add(
    kind: string,
    wish: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    weights: Record<string, Constant | undefined> = {},
  ): string {
    const own = Object.fromEntries(
      Object.entries(weights).flatMap(([role, weight]) => {
        if (!weight) return [];
        const { shape, values } = weight;
        if (values.length !== elements(shape))
          throw new RangeError(
            `${role} of shape [${shape}] must have ${elements(shape)} numbers, got ${values.length}`,
          );
        return [[role, { shape, values, trainable: !role.startsWith("moving") }]];
      }),
    );
    const shapes = Object.fromEntries(Object.entries(own).map(([role, { shape }]) => [role, shape]));
    const shape = outputShapeOf(
      { name: wish, kind, attributes, weights: shapes },
      inputs.map((tensor) => this.shape(tensor)),
    );
    const shares = this.#earlier.shift();
    const name = this.#named(wish);
    const node = { name, kind, inputs, outputs: [name], attributes, weights: own };
    this.#put(shares === undefined ? node : { ...node, shares }, shape as number[]);
    return name;
  }

  /**
   * Reads a layer that may be called again: what a later call adds shares the weights of what the first one added.
   *
   * @param earlier what the first call returned as `added`; none for the first
   */
  calling<T>(earlier: readonly string[], read: () => T): { result: T; added: string[] } {
    const start = this.#nodes.length;
    this.#earlier = [...earlier];
    try {
      const result = read();
      return { result, added: this.#nodes.slice(start).map(({ name }) => name) };
    } finally {
      this.#earlier = [];
    }
  }

  #put(node: GraphNode, shape: readonly number[]): void {
    if (!shape.every((size) => Number.isSafeInteger(size) && size > 0) || elements(shape) > largest)
      throw new RangeError(
        `${node.name} must have sizes above 0 and at most ${largest} numbers, got [${shape}]`,
      );
    this.#nodes.push(node);
    this.#tensors[node.outputs[0]] = { shape };
  }

  /** The shape of a value, without the batch. */
  shape(tensor: string): number[] {
    const found = this.#tensors[tensor];
    if (!found) throw new RangeError(`reads ${shown(tensor)}, which is not there`);
    return [...(found.shape as number[])];
  }

  /** A layer's name from a file's: without what makes trouble in names, and not given yet. */
  #named(wish: string): string {
    const plain =
      wish
        .split(";")[0]
        .replace(/^(StatefulPartitionedCall|model(_\d+)?|sequential(_\d+)?)\//, "")
        .replace(/[^A-Za-z0-9_.\-/]+/g, "_")
        .replace(/^[/_.]+|[/_.]+$/g, "")
        .slice(0, 120) || "layer";
    let name = plain;
    for (let i = 2; this.#names.has(name); i++) name = `${plain}_${i}`;
    this.#names.add(name);
    return name;
  }

  /** The whole network. */
  finish(name: string, outputs: readonly string[]): ImportedNetwork {
    if (outputs.length === 0 || this.#inputs.length === 0)
      refuse(this.file, `is a network of ${this.#inputs.length} inputs and ${outputs.length} outputs`);
    const graph = {
      name: name || "network",
      nodes: this.#nodes,
      tensors: { ...this.#tensors },
      inputs: this.#inputs,
      outputs,
    };
    return { graph, notes: [...this.notes] };
  }
}

/** An operator of a file, as far as all formats have it. */
export interface Operation {
  /** Its name, for errors. */
  name: string;
  op: string;
  inputs: readonly string[];
  outputs: readonly string[];
}

/**
 * Operators, each behind those that it reads.
 *
 * @throws RangeError for two that write one value, for values that nothing writes, and for circles
 */
export function inOrder<T extends Operation>(operations: readonly T[]): T[] {
  const writers = new Map<string, T>();
  for (const operation of operations)
    for (const output of operation.outputs) {
      if (writers.has(output)) throw new RangeError(`two operators have one name, ${shown(output)}`);
      writers.set(output, operation);
    }
  const state = new Map<T, "open" | "done">();
  const order: T[] = [];
  for (const start of operations) {
    const stack = [start];
    for (let operation = stack.at(-1); operation; operation = stack.at(-1)) {
      if (state.get(operation) === undefined) {
        state.set(operation, "open");
        for (const name of operation.inputs) {
          const before = writers.get(name);
          if (!before)
            throw new RangeError(`${shown(operation.name)} reads ${shown(name)}, which is not there`);
          if (state.get(before) === "open")
            throw new RangeError(`operators go in a circle at ${shown(name)}`);
          if (state.get(before) === undefined) stack.push(before);
        }
      } else {
        stack.pop();
        if (state.get(operation) === "open") order.push(operation);
        state.set(operation, "done");
      }
    }
  }
  return order;
}

/**
 * Reads operators one after the other. What cannot be read is gathered; what depends on it is passed over.
 *
 * @param known whether there is a reader for an operator
 * @param read puts the operator's outputs where the next ones find them
 * @throws FormatError that names every operator which no layer is known for, and every other that cannot be read
 */
export function readAll<T extends Operation>(
  file: string,
  operations: readonly T[],
  known: (operation: T) => boolean,
  read: (operation: T) => void,
): void {
  const unknown = new Map<string, number>();
  const problems: string[] = [];
  const lost = new Set<string>();
  for (const operation of operations) {
    const drop = () => {
      for (const output of operation.outputs) lost.add(output);
    };
    if (!known(operation)) {
      unknown.set(operation.op, (unknown.get(operation.op) ?? 0) + 1);
      drop();
    } else if (operation.inputs.some((input) => lost.has(input))) drop();
    else {
      try {
        read(operation);
      } catch (error) {
        if (!(error instanceof RangeError || error instanceof FormatError)) throw error;
        problems.push(`${operation.op} ${shown(operation.name)}: ${error.message}`);
        drop();
      }
    }
  }
  if (unknown.size === 0 && problems.length === 0) return;
  const names = [...unknown].map(([op, count]) => (count === 1 ? op : `${op} (${count} times)`));
  const said = [
    ...(names.length > 0 ? [`no layer is known for the operators ${listed(names)}`] : []),
    ...(problems.length > 0 ? [listed(problems, "; ")] : []),
  ];
  refuse(file, `cannot be made a network of layers: ${said.join("; ")}`);
}

/** All of a list, but for one that nobody would read. */
function listed(items: readonly string[], by = ", "): string {
  const few = items.slice(0, 20).map((item) => (item.length > 200 ? `${item.slice(0, 197)}...` : item));
  let text = few.join(by);
  if (text.length > 900) text = `${text.slice(0, 897)}...`;
  return few.length < items.length ? `${text} and ${items.length - few.length} more` : text;
}
