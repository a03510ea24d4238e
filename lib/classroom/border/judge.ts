// The judge's side of the border, in the kernel that runs the teacher's notebook: values of a student's notebook stand in
// for those of the exercise, its functions are called in the student's process, and the checks run here.
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { display } from "../../util/display.ts";
import { type CheckCase, type CheckResult, checkListener } from "../check.ts";
import type { LineReply, LineRequest } from "./line.ts";
import type { Answer, Question } from "./student.ts";
import {
  BorderError,
  readFields,
  readTyped,
  readValue,
  type Wire,
  type WireList,
  writeValue,
} from "./values.ts";

/** What one exercise cell came to. */
export interface Verdict {
  checks: { name: string; cases: CheckCase[]; read?: string }[];
  /** Why the cell ended before its end. */
  error?: string;
  /** Names that the student's notebook does not have, or whose value cannot be had, each with the reason. */
  missing: { name: string; reason: string }[];
}

/** The MIME type of a verdict, as the judge's kernel hands it to the grader. */
export const verdictMime = "application/vnd.slimlab.verdict+json";

const largest = 256 * 1024 * 1024;

class Judge {
  readonly #flag = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;
  readonly #port: MessagePort;
  #turn = 0;
  #deadline = Infinity;
  #seconds = 10;
  #late = false;
  #missing: Verdict["missing"] = [];

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(new URL("./line.js", import.meta.url), {
      workerData: { flag: this.#flag, largest, port: port2 },
      transferList: [port2],
      execArgv: [],
    });
    this.#worker.unref();
    port1.unref();
  }

  #request(request: LineRequest): LineReply {
    const turn = ++this.#turn;
    this.#port.postMessage({ ...request, turn });
    for (;;) {
      // An answer that came too late for its question is passed over.
      const answer = receiveMessageOnPort(this.#port)?.message as LineReply | undefined;
      if (answer?.turn === turn) return answer;
      if (answer) continue;
      const left = Math.max(1, this.#deadline - performance.now());
      if (Atomics.wait(this.#flag, 0, 0, Math.min(left, 2e9)) === "timed-out") {
        this.#late = true;
        return { turn, error: `it took more than ${this.#seconds} s` };
      }
      Atomics.store(this.#flag, 0, 0);
    }
  }

  /** Waits for students' processes at a socket. */
  listen(path: string): void {
    this.#deadline = performance.now() + 10_000;
    const { error } = this.#request({ op: "listen", path });
    if (error) throw new Error(`the judge cannot listen: ${error}`);
  }

  /** Runs an exercise cell's code; `seconds` is how long the student's process may take in all. */
  async run(body: () => Promise<void>, seconds: number): Promise<object> {
    const found: (CheckResult | Promise<CheckResult>)[] = [];
    const globals = globalThis as Record<symbol, unknown>;
    globals[checkListener] = (result: CheckResult | Promise<CheckResult>) => void found.push(result);
    this.#missing = [];
    this.#late = false;
    this.#seconds = seconds;
    this.#deadline = performance.now() + seconds * 1000;
    let error: string | undefined;
    try {
      await body();
    } catch (thrown) {
      error = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
    }
    const checks = [];
    for (const { name, cases, read } of await Promise.all(found))
      checks.push({ name, cases, ...(read && { read }) });
    delete globals[checkListener];
    this.#deadline = performance.now() + 10_000;
    this.#request({ op: "drop" });
    const verdict: Verdict = { checks, ...(error && { error }), missing: this.#missing };
    return { [display]: () => ({ [verdictMime]: verdict, "text/plain": "judged" }) };
  }

  /** The student's values of these names. */
  async take(names: string[]): Promise<Record<string, unknown>> {
    const { error } = this.#request({ op: "accept" });
    if (error) throw new Error(`the notebook's process did not answer: ${error}`);
    const values: Record<string, unknown> = {};
    for (const name of names) {
      try {
        const answer = this.#ask({ get: name });
        if ("error" in answer)
          throw new BorderError(answer.missing ? `there is no ${name}` : answer.error.message);
        values[name] = await this.#readWithModels((answer as { value: Wire }).value);
      } catch (thrown) {
        this.#missing.push({ name, reason: (thrown as Error).message });
      }
    }
    if (this.#missing.length > 0) throw new BorderError(this.#missing.map(({ reason }) => reason).join("; "));
    return values;
  }

  #ask(question: Question): Answer {
    // One call without end is enough: the rest need not wait for it again.
    if (this.#late) throw new Error("an earlier call took too long");
    const { text, error } = this.#request({ op: "ask", text: JSON.stringify(question) });
    if (error !== undefined) throw new Error(error);
    const answer = JSON.parse(text!) as Answer;
    if (typeof answer !== "object" || answer === null) throw new BorderError("what came is no answer");
    return answer;
  }

  /** Models are made first: that takes waiting, which reading the rest does not. */
  async #readWithModels(wire: Wire): Promise<unknown> {
    const models = new Map<unknown, unknown>();
    const search = async (node: unknown): Promise<void> => {
      if (!Array.isArray(node)) return;
      const isModel = node[0] === "model" && node.length === 3 && typeof node[1] === "string";
      if (isModel && Array.isArray(node[2])) models.set(node, await makeModel(node as WireList));
      else for (const one of node) if (Array.isArray(one)) await search(one);
    };
    await search(wire);
    return this.#read(wire, models);
  }

  #read(wire: Wire, models?: Map<unknown, unknown>): unknown {
    const make = {
      function: (node: WireList) =>
        this.#functionOf(Number(node[1]), String(node[2] ?? ""), node[3] === true),
      instance: (node: WireList) => this.#instanceOf(node, make),
      model: (node: WireList) => {
        const model = models?.get(node);
        if (!model) throw new BorderError("a model cannot be a function's result here");
        return model;
      },
    };
    return readValue(wire, { make });
  }

  #functionOf(handle: number, name: string, isClass = false): unknown {
    const call = (args: unknown[], construct: boolean) =>
      this.#call({ call: handle, args: [], answers: [], construct }, args);
    const fn = isClass
      ? new Proxy(class {}, { construct: (_target, args) => call(args, true) as object })
      : (...args: unknown[]) => call(args, false);
    Object.defineProperty(fn, "name", { value: name.slice(0, 200) });
    return fn;
  }

  #instanceOf(node: WireList, make: Record<string, (node: WireList) => unknown>): unknown {
    const [, handle, , fields, methods] = node;
    const value: Record<string, unknown> = {};
    for (const method of Array.isArray(methods) ? methods.map(String) : []) {
      Object.defineProperty(value, method, {
        value: (...args: unknown[]) =>
          this.#call({ call: Number(handle), method, args: [], answers: [] }, args),
        configurable: true,
        writable: true,
      });
    }
    return readFields(fields, { make }, value);
  }

  /** Calls a function in the student's process. Functions among its arguments are called here, answer by answer. */
  #call(question: Extract<Question, { call: number }>, args: unknown[]): unknown {
    const callbacks: ((...args: never[]) => unknown)[] = [];
    const writer = {
      functionOf: (fn: (...args: never[]) => unknown): WireList => ["callback", callbacks.push(fn) - 1],
    };
    const written = args.map((one) => writeValue(one, writer, 0, "an argument"));
    const answers: Wire[] = [];
    for (;;) {
      const answer = this.#ask({ ...question, args: written, answers });
      if ("callback" in answer) {
        const callback = callbacks[answer.callback];
        if (!callback || answers.length > 100_000) throw new BorderError("what came is no answer");
        const given = answer.args.map((one) => this.#read(one)) as never[];
        answers.push(writeValue(callback(...given), writer, 0, "a callback's result"));
        continue;
      }
      if ("error" in answer) {
        throw Object.assign(new Error(String(answer.error?.message)), {
          name: String(answer.error?.name || "Error"),
        });
      }
      const value = this.#read(answer.value);
      return answer.promise ? Promise.resolve(value) : value;
    }
  }
}

async function makeModel([, topology, weights]: WireList): Promise<unknown> {
  const { tf } = await import("../../nn/index.ts");
  const model = await tf.models.modelFromJSON(JSON.parse(String(topology)));
  const tensors = (weights as [number[], "float32" | "int32", WireList][]).map(([shape, dtype, data]) =>
    tf.tensor(readTyped(data[1], data[2]) as Float32Array, shape, dtype),
  );
  model.setWeights(tensors);
  for (const tensor of tensors) tensor.dispose();
  return model;
}

/** Where the cells that the grader runs find the judge. */
export const judgeDesk = Symbol.for("slimlab.judge");
(globalThis as Record<symbol, unknown>)[judgeDesk] = new Judge();
