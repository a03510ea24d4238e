// Speaks with judge.py, where other people's implementations read, check and run our files.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { packageRoot } from "../../lib/util/files.ts";
import { pythonWith } from "../python.ts";

type Numbers = Float32Array | Int8Array | Uint8Array | Int32Array | Uint16Array | BigInt64Array;
type Packed = { dtype: string; shape: number[]; data: string };

const types = {
  float32: Float32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int32: Int32Array,
  uint16: Uint16Array,
  float16: Uint16Array,
  int64: BigInt64Array,
} as const;

/** An array as the judge reads it. */
export function packed(values: Numbers, shape: readonly number[] = [values.length]): Packed {
  const name = values.constructor.name.toLowerCase().replace("array", "").replace("bigint64", "int64");
  const data = Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
  return { dtype: name, shape: [...shape], data };
}

/** An array that the judge sent. */
export function unpacked({ dtype, data }: Packed): Numbers {
  const bytes = new Uint8Array(Buffer.from(data, "base64"));
  return new types[dtype as keyof typeof types](bytes.buffer);
}

/** The judge, one process for a whole test file. */
export class Judge {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(python: string) {
    this.#process = spawn(python, [join(packageRoot, "test", "formats", "judge.py")], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#answers = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  /** Starts it; undefined where Python or a module is missing, which CI does not forgive. */
  static start(...modules: string[]): Judge | undefined {
    const python = pythonWith("test/formats/requirements.txt", "numpy", ...modules);
    return python === undefined ? undefined : new Judge(python);
  }

  /** Calls a function of judge.py. */
  async call(name: string, ...args: unknown[]): Promise<never> {
    this.#process.stdin!.write(`${JSON.stringify({ call: name, args })}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error("the judge has ended");
    const { result, error } = JSON.parse(value);
    if (error !== undefined) throw new Error(error);
    return result as never;
  }

  stop(): void {
    this.#process.kill();
  }
}
