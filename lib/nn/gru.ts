// The GRU that Keras makes by default and TensorFlow.js lacks: the reset gate acts behind the product with the state, not
// before it, so that one product serves all gates (Keras's reset_after, cuDNN's and PyTorch's GRU). It takes the place of
// TensorFlow.js's class, which it is where `resetAfter` is not asked for.
import { layers, type Shape, serialization, type Tensor, tidy } from "#tfjs";

type Settings = Record<string, unknown>;

// TensorFlow.js exports neither class, and of their members not all are public.
interface Cell {
  units: number;
  useBias: boolean;
  kernel: { read(): Tensor };
  recurrentKernel: { read(): Tensor };
  bias: { read(): Tensor };
  activation: { apply(x: Tensor): Tensor };
  recurrentActivation: { apply(x: Tensor): Tensor };
  built: boolean;
  addWeight(name: string, shape: Shape, ...how: unknown[]): { read(): Tensor };
  getConfig(): Settings;
  [initializer: string]: unknown;
}
interface Recurrent {
  cell: Cell;
  getConfig(): Settings;
}
const plain = layers.gru({ units: 1 });
const PlainGru = plain.constructor as new (config: Settings) => Recurrent;
const PlainCell = (plain as unknown as Recurrent).cell.constructor as new (config: Settings) => Cell;

class ResetAfterCell extends PlainCell {
  constructor(config: Settings) {
    for (const field of ["dropout", "recurrentDropout"])
      if (config[field])
        throw new RangeError(`${field} of a GRU with resetAfter must be 0, got ${config[field]}`);
    super({ ...config, resetAfter: false });
  }

  build(shape: Shape): void {
    const gates = 3 * this.units;
    const add = (name: string, own: Shape, kind: string) =>
      this.addWeight(
        name,
        own,
        null,
        this[`${kind}Initializer`],
        this[`${kind}Regularizer`],
        true,
        this[`${kind}Constraint`],
      );
    this.kernel = add("kernel", [shape.at(-1)!, gates], "kernel");
    this.recurrentKernel = add("recurrent_kernel", [this.units, gates], "recurrent");
    // One for what comes in, one for the state.
    if (this.useBias) this.bias = add("bias", [2, gates], "bias");
    this.built = true;
  }

  call([x, state]: Tensor[]): Tensor[] {
    return tidy(() => {
      let given = x.matMul(this.kernel.read());
      let known = state.matMul(this.recurrentKernel.read());
      if (this.useBias) {
        const [input, recurrent] = this.bias.read().split(2, 0);
        given = given.add(input);
        known = known.add(recurrent);
      }
      const [givens, knowns] = [given.split(3, 1), known.split(3, 1)];
      const keep = this.recurrentActivation.apply(givens[0].add(knowns[0]));
      const reset = this.recurrentActivation.apply(givens[1].add(knowns[1]));
      const news = this.activation.apply(givens[2].add(reset.mul(knowns[2])));
      const next = keep.mul(state).add(keep.neg().add(1).mul(news));
      return [next, next];
    });
  }
}

class Gru extends PlainGru {
  static className = "GRU";

  constructor(config: Settings) {
    super({ ...config, resetAfter: false });
    if (config.resetAfter) this.cell = new ResetAfterCell(config);
  }

  override getConfig(): Settings {
    return { ...super.getConfig(), resetAfter: this.cell instanceof ResetAfterCell };
  }
}
serialization.registerClass(Gru as never);
