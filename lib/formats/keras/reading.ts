// What the readers of Keras's layers work with: a layer's settings, its inputs, and its weights, each taken by its role and
// the shape that it must have.
import { shown } from "../../util/check.ts";
import type { Constant, NetworkBuilder } from "../import/builder.ts";
import type * as to from "../import/operators.ts";
import type { LayerCall } from "./calls.ts";
import { Settings } from "./settings.ts";
import type { NamedWeight } from "./weights.ts";

/** One layer while it is read. */
export class LayerReading {
  readonly b: NetworkBuilder;
  readonly name: string;
  readonly call: LayerCall;
  readonly settings: Settings;
  /** The major version of Keras: names mean other things in 2 and in 3. */
  readonly version: number;
  readonly #inputs: readonly string[];
  readonly #weights: NamedWeight[];

  constructor(
    b: NetworkBuilder,
    call: LayerCall,
    inputs: readonly string[],
    weights: NamedWeight[],
    version: number,
  ) {
    [this.b, this.call, this.#inputs, this.#weights, this.version] = [b, call, inputs, [...weights], version];
    this.name = call.path.join("/");
    this.settings = new Settings(call.entry.config);
  }

  /** The one value that it reads. */
  get x(): string {
    if (this.#inputs.length !== 1 || this.call.numbers.some((n) => n !== undefined))
      throw new RangeError(`a call with ${this.#inputs.length} values is not supported`);
    return this.#inputs[0];
  }
  get inputs(): readonly string[] {
    if (this.call.numbers.some((n) => n !== undefined))
      throw new RangeError("a call with numbers is not supported");
    return this.#inputs;
  }
  /** What it reads, numbers among them, in their order. */
  get operands(): to.Operand[] {
    const { numbers } = this.call;
    let next = 0;
    if (numbers.length === 0) return this.#inputs.map((tensor) => ({ tensor }));
    return numbers.map((number) =>
      number === undefined
        ? { tensor: this.#inputs[next++] }
        : { known: { shape: [1], values: Float32Array.of(number) } },
    );
  }
  /** The shape of what it reads, the batch left out. */
  get shape(): number[] {
    return this.b.shape(this.x);
  }

  /** The next weight, which must be of that shape. */
  weight(role: string, shape: readonly number[]): Constant {
    const next = this.#weights.shift();
    if (!next) throw new RangeError(`the file has no ${role} for it`);
    const { name, weight } = next;
    // "depthwise_kernel" of one version is "kernel" in another.
    if (name !== undefined && !role.endsWith(name.split("_").at(-1)!))
      throw new RangeError(`its ${role} is called ${shown(name)} in the file`);
    if (weight.shape.length !== shape.length || weight.shape.some((size, axis) => size !== shape[axis]))
      throw new RangeError(
        `its ${role} must be of shape [${shape}], but in the file it is [${weight.shape}]`,
      );
    const bad = weight.values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new RangeError(`its ${role} must be finite, got ${weight.values[bad]} at index ${bad}`);
    return weight;
  }
  bias(units: number): Constant | undefined {
    return this.settings.flag("use_bias", true) ? this.weight("bias", [units]) : undefined;
  }
  /** Throws a RangeError where weights are left that nothing has asked for. */
  done(): void {
    if (this.#weights.length > 0)
      throw new RangeError(`the file has ${this.#weights.length} weights too many for it`);
  }

  add(
    kind: string,
    attributes: Record<string, unknown> = {},
    weights: Record<string, Constant | undefined> = {},
  ) {
    return this.b.add(kind, this.name, [this.x], attributes, weights);
  }

  /** The activation of a layer where TensorFlow.js has it inside layers, and what comes behind the layer where not. */
  get activation(): { inside: string; behind: (x: string) => string } {
    const name = this.settings.activation();
    const inside = tfjsActivations[name];
    if (inside !== undefined) return { inside, behind: (x) => x };
    const own = ownActivations(this.version)[name];
    if (!own) throw new RangeError(`activation ${shown(name)} is not supported`);
    return { inside: "linear", behind: (x) => this.b.add(own[0], `${this.name}/${name}`, [x], own[1]) };
  }
}

/** Keras's activations that TensorFlow.js has under one name or another. */
const tfjsActivations: Record<string, string | undefined> = {
  linear: "linear",
  relu: "relu",
  relu6: "relu6",
  elu: "elu",
  selu: "selu",
  gelu: "gelu",
  mish: "mish",
  sigmoid: "sigmoid",
  silu: "swish",
  swish: "swish",
  softmax: "softmax",
  log_softmax: "logSoftmax",
  softplus: "softplus",
  softsign: "softsign",
  tanh: "tanh",
};

/** Activations that are layers of their own here. */
function ownActivations(
  version: number,
): Record<string, [kind: string, attributes: Record<string, unknown>] | undefined> {
  return {
    exponential: ["elementwise", { function: "exp" }],
    leaky_relu: ["leakyReLU", { alpha: 0.2 }],
    hard_silu: ["hardSwish", {}],
    hard_swish: ["hardSwish", {}],
    // ReLU6(x + 3) / 6 since Keras 3.
    hard_sigmoid: ["hardSigmoid", version < 3 ? { alpha: 0.2, beta: 0.5 } : { alpha: 1 / 6, beta: 0.5 }],
  };
}

/** The activation of a recurrent cell, which must be inside. */
export function cellActivation(settings: Settings, name: string, fallback: string, version: number): string {
  const given = settings.has(name) ? settings.activation(name) : fallback;
  const inside = given === "hard_sigmoid" && version < 3 ? "hardSigmoid" : tfjsActivations[given];
  if (inside === undefined) throw new RangeError(`${name} ${shown(given)} is not supported`);
  return inside;
}
