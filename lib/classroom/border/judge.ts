// The judge's side of the border, in the kernel that runs the teacher's notebook: values of a student's notebook stand in
// for those of the exercise, its functions are called in the student's process, and the checks run here.
import { createHash } from "node:crypto";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { display } from "../../util/display.ts";
import { type CheckCase, type CheckResult, checkListener } from "../check.ts";
import { assignInto } from "./in-place.ts";
import type { LineReply, LineRequest } from "./line.ts";
import { type Disposable, modelsIn, readTensor, tensorFlowFor, writeModel, writeTensor } from "./networks.ts";
import type { Answer, Question } from "./student.ts";
import { BorderError, type Reader, readValue, type Wire, type WireList, writeValue } from "./values.ts";

/** What one exercise cell came to. */
export interface Verdict {
  checks: { name: string; cases: CheckCase[]; read?: string }[];
  /** Why the cell ended before its end. */
  error?: string;
  /** The time was over before all was said: asking again would only take as long again. */
  late?: boolean;
  /** Names that the student's notebook does not have, or whose value cannot be had, each with the reason. */
  missing: { name: string; reason: string }[];
}

/** The MIME type of a verdict, as the judge's kernel hands it to the grader. */
export const verdictMime = "application/vnd.slimlab.verdict+json";

const largest = 256 * 1024 * 1024;

/** What of an exercise the judge is told. */
export interface Exercise {
  /** The same for the same code. */
  key: string;
  /** The names whose values the student gives. */
  names: string[];
  /** How long the student's process may take in all. */
  seconds: number;
}

class Judge {
  readonly #flag = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;
  readonly #port: MessagePort;
  #turn = 0;
  #deadline = Infinity;
  #seconds = 10;
  #late = false;
  #missing: Verdict["missing"] = [];
  /** Counts exercises: what a test that was given up does later must not reach the next student's process. */
  #exercise = 0;
  readonly #made: Disposable[] = [];
  /** What students' functions have changed of the judge's, and its content before. */
  readonly #changed: { target: unknown; before: unknown }[] = [];
  /** Functions of this exercise's student, each by its handle. */
  readonly #handles = new WeakMap<object, number>();
  #calls = 0;
  /** Verdicts by exercise and values. */
  readonly #verdicts = new Map<string, Verdict>();
  #tf: Awaited<ReturnType<typeof tensorFlowFor>>;

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

  /** Runs an exercise's code, which gets the student's values. */
  async run({ key, names, seconds }: Exercise, body: (given: object) => Promise<void>): Promise<object> {
    const found: (CheckResult | Promise<CheckResult>)[] = [];
    const globals = globalThis as Record<symbol, unknown>;
    globals[checkListener] = (result: CheckResult | Promise<CheckResult>) => void found.push(result);
    this.#missing = [];
    this.#late = false;
    this.#seconds = seconds;
    this.#deadline = performance.now() + seconds * 1000;
    this.#exercise++;
    let error: string | undefined;
    let known: Verdict | undefined;
    let values: string | undefined;
    const checks: Verdict["checks"] = [];
    const work = async () => {
      try {
        const taken = await this.#take(names);
        values = taken.data === undefined ? undefined : `${key} ${taken.data}`;
        known = this.#verdicts.get(values ?? "");
        if (!known) await body(taken.given);
      } catch (thrown) {
        error = wordsOf(thrown);
      }
      for (const one of found) {
        const { name, cases, read } = await one;
        checks.push({ name, cases, ...(read && { read }) });
      }
    };
    // What the student gives may be a promise that never settles.
    const over = new AbortController();
    const limit = new Promise<void>((done) => {
      const timer = setTimeout(
        () => {
          this.#late = true;
          error = `it took more than ${seconds} s`;
          done();
        },
        Math.min(seconds * 1000, 2e9),
      );
      over.signal.addEventListener("abort", () => clearTimeout(timer));
    });
    await Promise.race([work(), limit]);
    over.abort();
    delete globals[checkListener];
    this.#exercise++;
    this.#deadline = performance.now() + 10_000;
    for (const made of this.#made.splice(0)) made.dispose();
    // The next student meets everything as this one did.
    for (const { target, before } of this.#changed.splice(0).reverse()) assignInto(target, before);
    const late = this.#late as boolean;
    this.#request({ op: "drop" });
    const verdict: Verdict = known ?? {
      checks: [...checks],
      ...(error && { error }),
      ...(late && { late }),
      missing: this.#missing,
    };
    if (values !== undefined && !late && error === undefined) this.#verdicts.set(values, verdict);
    return { [display]: () => ({ [verdictMime]: verdict, "text/plain": "judged" }) };
  }

  /**
   * The student's values of these names. `data` stands for all of them where they are data and nothing else: then the
   * verdict is that of everybody who gives the same, and what the check computes of them, it computes once.
   */
  async #take(names: string[]): Promise<{ given: object; data?: string }> {
    const { error } = this.#request({ op: "accept" });
    if (error) throw new Error(`the notebook's process did not answer: ${error}`);
    const given = {};
    const hash = createHash("sha256");
    let isData = true;
    for (const name of names) {
      try {
        const text = this.#askText({ get: name });
        const answer = answerIn(text);
        if ("error" in answer)
          throw new BorderError(answer.missing ? `there is no ${name}` : answer.error.message);
        const { value } = answer as { value: Wire };
        hash.update(`${text.length}:`).update(text);
        isData &&= !/\["(?:function|instance|callback)"/.test(text);
        this.#tf = await tensorFlowFor([value]);
        const models = await modelsIn([value]);
        this.#made.push(...models.values());
        define(given, name, { value: this.#read(value, models), writable: true });
      } catch (thrown) {
        const { message: reason } = thrown as Error;
        this.#missing.push({ name, reason });
        const get = () => {
          throw new Error(reason);
        };
        define(given, name, { get, set: (value) => define(given, name, { value, writable: true }) });
      }
    }
    // What is not there fails where it is used; where nothing is there, nothing need be tried.
    if (this.#missing.length === names.length && names.length > 0) {
      throw new BorderError(this.#missing.map(({ reason }) => reason).join("; "));
    }
    isData &&= this.#missing.length === 0;
    return { given, ...(isData && { data: hash.digest("hex") }) };
  }

  #ask(question: Question): Answer {
    return answerIn(this.#askText(question));
  }

  #askText(question: Question): string {
    // One call without end is enough: the rest need not wait for it again.
    if (this.#late) throw new Error("an earlier call took too long");
    if (performance.now() > this.#deadline) {
      this.#late = true;
      throw new Error(`it took more than ${this.#seconds} s`);
    }
    const { text, error } = this.#request({ op: "ask", text: JSON.stringify(question) });
    if (error !== undefined) throw new Error(error);
    return text!;
  }

  #read(wire: Wire, models?: Map<unknown, unknown>): unknown {
    const make: Reader["make"] = {
      function: (node: WireList) =>
        this.#functionOf(Number(node[1]), String(node[2] ?? ""), node[3] === true),
      instance: (node: WireList) => this.#instanceOf(node, make),
      model: (node: WireList) => {
        const model = models?.get(node);
        if (!model) throw new BorderError("a model cannot be a function's result here");
        return model;
      },
      tensor: (node: WireList) => {
        const tensor = readTensor(node, this.#tf);
        this.#made.push(tensor);
        return tensor;
      },
    };
    return readValue(wire, { make });
  }

  #functionOf(handle: number, name: string, isClass = false): unknown {
    const exercise = this.#exercise;
    const call = (args: unknown[], construct: boolean) =>
      this.#call({ call: handle, args: [], answers: [], construct }, args, exercise);
    const fn = isClass
      ? new Proxy(class {}, { construct: (_target, args) => call(args, true) as object })
      : (...args: unknown[]) => call(args, false);
    Object.defineProperty(fn, "name", { value: name.slice(0, 200) });
    this.#handles.set(fn, handle);
    return fn;
  }

  /** A student's function for its effect: what it makes of its arguments, the check sees. */
  inPlace(fn: unknown): unknown {
    const handle = this.#handles.get(Object(fn));
    if (handle === undefined) return fn;
    const exercise = this.#exercise;
    return (...args: unknown[]) =>
      this.#call({ call: handle, args: [], answers: [], inPlace: true }, args, exercise);
  }

  #instanceOf(node: WireList, make: Reader["make"]): unknown {
    const [, handle, , fields, methods, accessors, tensor] = node;
    if (tensor && this.#tf) return make.tensor(tensor as WireList);
    const exercise = this.#exercise;
    const of = Number(handle);
    const value: Record<string, unknown> = {};
    const define = (name: string, enumerable: boolean, get: () => unknown) => {
      const set = (one: unknown) =>
        void Object.defineProperty(value, name, {
          value: one,
          writable: true,
          enumerable,
          configurable: true,
        });
      Object.defineProperty(value, name, { get, set, enumerable, configurable: true });
    };
    for (const method of listOf(methods).map(String)) {
      Object.defineProperty(value, method, {
        value: (...args: unknown[]) =>
          this.#call({ call: of, method, args: [], answers: [] }, args, exercise),
        configurable: true,
        writable: true,
      });
    }
    const ask = (field: string) => {
      this.#checkExercise(exercise);
      const answer = this.#ask({ of, field });
      if ("error" in answer) throw errorOf(answer);
      if (!("value" in answer)) throw new BorderError("what came is no answer");
      return this.#read(answer.value);
    };
    for (const name of listOf(accessors).map(String)) define(name, false, () => ask(name));
    // A field is what it was until something is called that may change it.
    const calls = this.#calls;
    for (const entry of listOf(fields)) {
      const [name, wire] = listOf(entry) as [unknown, Wire];
      if (typeof name !== "string") throw new BorderError("what came is no object");
      const known = readValue(wire, { make });
      define(name, true, () => (this.#calls === calls ? known : ask(name)));
    }
    return value;
  }

  /** What a test that was given up does later must not reach the next student's process. */
  #checkExercise(exercise: number): void {
    if (exercise !== this.#exercise) throw new BorderError("this exercise has been judged already");
  }

  /** Calls a function in the student's process. Functions among its arguments are called here, answer by answer. */
  #call(question: Extract<Question, { call: number }>, args: unknown[], exercise: number): unknown {
    this.#checkExercise(exercise);
    this.#calls++;
    const callbacks: ((...args: never[]) => unknown)[] = [];
    const writer = {
      functionOf: (fn: (...args: never[]) => unknown): WireList => ["callback", callbacks.push(fn) - 1],
      instanceOf: (object: object) => writeModel(object) ?? writeTensor(object),
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
      if ("error" in answer) throw errorOf(answer);
      for (const [i, wire] of listOf(question.inPlace ? answer.args : []).entries()) {
        if (typeof args[i] !== "object" || JSON.stringify(wire) === JSON.stringify(written[i])) continue;
        this.#changed.push({ target: args[i], before: this.#read(written[i]) });
        assignInto(args[i], this.#read(wire as Wire));
      }
      const value = this.#read(answer.value);
      return answer.promise ? Promise.resolve(value) : value;
    }
  }
}

const define = (target: object, name: string, how: PropertyDescriptor) =>
  void Object.defineProperty(target, name, { ...how, configurable: true, enumerable: true });

/** What the border says is said to the student, and has no need of its class. */
function wordsOf(thrown: unknown): string {
  if (thrown instanceof BorderError) return thrown.message;
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
}

function answerIn(text: string): Answer {
  const answer = JSON.parse(text) as Answer;
  if (typeof answer !== "object" || answer === null) throw new BorderError("what came is no answer");
  return answer;
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function errorOf({ error }: Extract<Answer, { error: unknown }>): Error {
  return Object.assign(new Error(String(error?.message)), { name: String(error?.name || "Error") });
}

/** Where the cells that the grader runs find the judge. */
export const judgeDesk = Symbol.for("slimlab.judge");
(globalThis as Record<symbol, unknown>)[judgeDesk] = new Judge();
