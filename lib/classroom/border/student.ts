// The student's side of the border: hands out values of the notebook by name, and calls its functions for the judge.
// It runs in the student's process, so nothing that it says is believed to be more than the student's answer.
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { modelsIn, readTensor, tensorFlowFor, writeModel, writeTensor } from "./networks.ts";
import { fieldsOf, readValue, type Wire, type WireList, writeValue } from "./values.ts";

/** What the judge asks. `inPlace`: what the function makes of its arguments is of interest too. */
export type Question =
  | { get: string }
  | { of: number; field: string }
  | { call: number; method?: string; args: Wire[]; answers: Wire[]; construct?: boolean; inPlace?: boolean };

/** What comes back. `callback`: the function has called one that it was given; ask again with the answer. */
export type Answer =
  | { value: Wire; promise?: boolean; args?: Wire[] }
  | { error: { name: string; message: string }; missing?: boolean }
  | { callback: number; args: Wire[] };

/** Thrown through the student's function where it calls a function of the judge whose answer is not there yet. */
class Suspended {
  readonly callback: number;
  readonly args: Wire[];
  constructor(callback: number, args: Wire[]) {
    this.callback = callback;
    this.args = args;
  }
}

class Desk {
  readonly #names: Record<string, () => unknown>;
  readonly #handles: unknown[] = [];
  readonly #known = new Map<unknown, number>();

  constructor(names: Record<string, () => unknown>) {
    this.#names = names;
  }

  async answer(question: Question): Promise<Answer> {
    try {
      if ("get" in question) return { value: this.#write(await this.#names[question.get]()) };
      if ("field" in question) {
        return {
          value: this.#write((this.#handles[question.of] as Record<string, unknown>)[question.field]),
        };
      }
      return await this.#call(question);
    } catch (error) {
      if (error instanceof Suspended) return { callback: error.callback, args: error.args };
      const { name, message } = error instanceof Error ? error : { name: "", message: String(error) };
      return { error: { name, message }, missing: "get" in question && name === "ReferenceError" };
    }
  }

  async #call({
    call,
    method,
    args,
    answers,
    construct,
    inPlace,
  }: Extract<Question, { call: number }>): Promise<Answer> {
    const target = this.#handles[call] as Record<string, (...args: unknown[]) => unknown>;
    let suspended: Suspended | undefined;
    let turn = 0;
    const callback = (node: WireList) => {
      const index = Number(node[1]);
      return (...given: unknown[]) => {
        if (turn < answers.length) return readValue(answers[turn++]);
        suspended ??= new Suspended(
          index,
          given.map((one) => this.#write(one)),
        );
        throw suspended;
      };
    };
    const tf = await tensorFlowFor(args);
    const models = await modelsIn(args);
    const tensor = (node: WireList) => readTensor(node, tf);
    const model = (node: WireList) => models.get(node);
    const values = args.map((one) => readValue(one, { make: { callback, tensor, model } }));
    const fn = method === undefined ? (target as never as (...args: unknown[]) => unknown) : target[method];
    try {
      const made = construct
        ? Reflect.construct(fn, values)
        : fn.apply(method === undefined ? undefined : target, values);
      const isPromise = typeof (made as Promise<unknown> | null)?.then === "function";
      const value = isPromise ? await made : made;
      // A function that swallows the suspension has not had its answer: what it returned means nothing.
      if (suspended) throw suspended;
      return {
        value: this.#write(value),
        ...(isPromise && { promise: true }),
        ...(inPlace && { args: values.map((one) => this.#write(one)) }),
      };
    } catch (error) {
      throw suspended ?? error;
    }
  }

  #handle(value: unknown): number {
    let handle = this.#known.get(value);
    if (handle === undefined) {
      handle = this.#handles.push(value) - 1;
      this.#known.set(value, handle);
    }
    return handle;
  }

  #write(value: unknown): Wire {
    return writeValue(value, {
      functionOf: (fn) => ["function", this.#handle(fn), String(fn.name), /^class\b/.test(String(fn))],
      instanceOf: (object) => writeModel(object) ?? this.#instance(object),
    });
  }

  #instance(value: object): WireList {
    const methods = new Set<string>();
    const accessors = new Set<string>();
    for (
      let prototype = Object.getPrototypeOf(value);
      prototype && prototype !== Object.prototype;
      prototype = Object.getPrototypeOf(prototype)
    ) {
      for (const name of Object.getOwnPropertyNames(prototype)) {
        const { value: method, get } = Object.getOwnPropertyDescriptor(prototype, name)!;
        if (get && name !== "__proto__") accessors.add(name);
        if (typeof method === "function" && name !== "constructor") methods.add(name);
      }
    }
    const writer = {
      functionOf: (fn: (...args: never[]) => unknown): WireList => ["function", this.#handle(fn), fn.name],
      instanceOf: (object: object) => writeModel(object),
    };
    const fields = fieldsOf(value, writer, 2);
    const name = value.constructor?.name ?? "";
    const parts = [fields, [...methods], [...accessors], writeTensor(value)];
    return ["instance", this.#handle(value), name, ...parts];
  }
}

/**
 * Answers the judge's questions until the judge ends the line.
 *
 * @param path the socket where the judge listens
 * @param names the values that may be asked for
 */
export async function serve(path: string, names: Record<string, () => unknown>): Promise<void> {
  const desk = new Desk(names);
  const socket = connect(path);
  socket.setNoDelay?.(true);
  try {
    for await (const line of createInterface({ input: socket, crlfDelay: Infinity })) {
      const answer = await desk.answer(JSON.parse(line) as Question);
      socket.write(`${JSON.stringify(answer)}\n`);
    }
  } finally {
    socket.destroy();
  }
}

/** Where the request that begins the serving finds `serve`. */
export const studentDesk = Symbol.for("slimlab.border");
(globalThis as Record<symbol, unknown>)[studentDesk] = serve;
