// Exercises that check themselves: a cell calls check(), and its value shows what is right and what is not yet.
import { shown } from "../util/check.ts";
import { display } from "../util/display.ts";
import { escapeHtml } from "../util/html.ts";

/** What a check found, one line for each of its cases. */
export interface CheckCase {
  name: string;
  passed: boolean;
  /** Why not; empty where it passed. */
  message: string;
}

/** A test of the reader's work: it throws or returns false where that is not right yet. */
export type Test = () => unknown;

/** The MIME type by which `slimlab grade` finds results among a notebook's outputs. */
export const checkMime = "application/vnd.slimlab.check+json";

/** Where a grader puts a function that hears of every check's result, in the process that judges. */
export const checkListener: unique symbol = Symbol.for("slimlab.check.listener") as never;

/** What a check is worth, and where its idea stands. */
export interface CheckOptions {
  /** Points, by the share of cases that pass. Default 1. */
  points?: number;
  /** What to read again where a case fails: the name of a section, for one. */
  read?: string;
}

function gradedByNbgrader(): boolean {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.NBGRADER_EXECUTION !== undefined;
}

/** The result of a check. It shows itself in green or red. */
export class CheckResult {
  readonly name: string;
  readonly cases: CheckCase[];
  readonly #options: CheckOptions;

  constructor(name: string, cases: CheckCase[], options: CheckOptions = {}) {
    this.name = name;
    this.cases = cases;
    this.#options = options;
  }

  /** Points by the share of cases that pass. */
  get points(): number {
    const share = this.cases.filter(({ passed }) => passed).length / this.cases.length;
    return Math.round(share * (this.#options.points ?? 1) * 100) / 100;
  }

  get passed(): boolean {
    return this.cases.every((one) => one.passed);
  }

  /** What to read again; undefined where nothing failed. */
  get read(): string | undefined {
    return this.passed ? undefined : this.#options.read;
  }

  [display](): Record<string, unknown> {
    const verdict = this.passed ? "solved" : "not yet";
    const sign = (passed: boolean) => (passed ? "✓" : "✗");
    const lines = this.cases.filter((one) => one.name || one.message);
    const color = this.passed ? "#009E73" : "#D55E00";
    const items = lines.map(({ name, passed, message }) => {
      const why =
        message &&
        `<pre style="margin:0.2em 0 0.4em;white-space:pre-wrap;background:none;border:0;padding:0">${escapeHtml(message)}</pre>`;
      return `<li style="list-style:none">${name ? `${sign(passed)} ${escapeHtml(name)}` : ""}${why}</li>`;
    });
    const { read } = this;
    if (read) items.push(`<li style="list-style:none">Read again: ${escapeHtml(read)}</li>`);
    return {
      [checkMime]: { name: this.name, passed: this.passed, cases: this.cases, ...(read && { read }) },
      "text/html": `<div class="check" role="status" style="border-left:5px solid ${color};padding:0.4em 1em"><strong>${sign(this.passed)} ${escapeHtml(this.name)}: ${verdict}</strong><ul style="margin:0.3em 0 0;padding:0">${items.join("")}</ul></div>`,
      // nbgrader takes what a test cell comes to as points, if it is a number, and anything else as all of them.
      "text/plain": gradedByNbgrader()
        ? String(this.points)
        : [
            `${sign(this.passed)} ${this.name}: ${verdict}`,
            ...lines.map(
              ({ name, passed, message }) =>
                `  ${sign(passed)} ${[name, message].filter(Boolean).join(": ")}`,
            ),
            ...(read ? [`  Read again: ${read}`] : []),
          ].join("\n"),
    };
  }
}

/**
 * Checks the reader's work. Nothing is thrown: an exercise that is not solved yet must not stop the notebook.
 *
 * ```ts
 * check("3.1.1-a", {
 *   "a tenth of the size": () => expectClose(sparsityNeeded(784, 300, 10), 0.9329, 1e-3),
 *   "no gain needs a third": () => expectClose(sparsityNeeded(784, 300, 1), 0.335, 1e-2),
 * })
 * ```
 *
 * @param name the exercise, by its chapter
 * @param tests one test, or several by what they are about
 * @param options `points` that the exercise is worth, and what to `read` again where a case fails
 * @returns the result, or the promise of it where a test is asynchronous: `await check(...)`
 */
export function check(
  name: string,
  tests: Test | Record<string, Test>,
  options: CheckOptions = {},
): CheckResult | Promise<CheckResult> {
  const result = runTests(name, tests, options);
  const listener = (globalThis as Record<symbol, unknown>)[checkListener];
  if (typeof listener === "function") listener(result);
  return result;
}

function runTests(
  name: string,
  tests: Test | Record<string, Test>,
  options: CheckOptions,
): CheckResult | Promise<CheckResult> {
  const entries: [string, Test][] = typeof tests === "function" ? [["", tests]] : Object.entries(tests ?? {});
  if (entries.length === 0 || entries.some(([, test]) => typeof test !== "function")) {
    throw new TypeError(`check(${shown(name)}, tests) needs a function, or an object of functions by name`);
  }
  const results = entries.map(([about, test]) => {
    try {
      const value = test();
      if (!isPromise(value)) return judge(about, value);
      return value.then(
        (settled) => judge(about, settled),
        (error) => failure(about, error),
      );
    } catch (error) {
      return failure(about, error);
    }
  });
  if (!results.some(isPromise)) return new CheckResult(name, results as CheckCase[], options);
  return Promise.all(results).then((cases) => new CheckResult(name, cases, options));
}

/**
 * Throws unless numbers, or arrays of them, agree within `tolerance` (absolute).
 *
 * @param what names the value in the message
 */
export function expectClose(
  actual: number | ArrayLike<number>,
  expected: number | ArrayLike<number>,
  tolerance = 1e-6,
  what = "the value",
): void {
  if (typeof expected === "number") {
    if (typeof actual !== "number") throw new Error(`${what} should be a number, got ${shown(actual)}`);
    if (!(Math.abs(actual - expected) <= tolerance)) {
      throw new Error(`${what} should be ${short(expected)} (within ${tolerance}), got ${short(actual)}`);
    }
    return;
  }
  if (typeof actual !== "object" || actual === null || typeof actual.length !== "number") {
    throw new Error(`${what} should be an array of ${expected.length} numbers, got ${shown(actual)}`);
  }
  if (actual.length !== expected.length) {
    throw new Error(`${what} should have ${expected.length} elements, got ${actual.length}`);
  }
  for (let i = 0; i < expected.length; i++) {
    if (Math.abs(actual[i] - expected[i]) <= tolerance) continue;
    throw new Error(
      `${what} should be ${short(expected[i])} (within ${tolerance}) at index ${i}, got ${short(actual[i])}`,
    );
  }
}

/** Throws unless two values are the same: numbers (0 and -0 are one), strings, or arrays element by element. */
export function expectEqual(actual: unknown, expected: unknown, what = "the value"): void {
  if (isList(expected)) {
    if (!isList(actual)) throw new Error(`${what} should be an array, got ${shown(actual)}`);
    if (actual.length !== expected.length) {
      throw new Error(`${what} should have ${expected.length} elements, got ${actual.length}`);
    }
    for (let i = 0; i < expected.length; i++) {
      if (!isSame(actual[i], expected[i])) {
        throw new Error(`${what} should be ${shown(expected[i])} at index ${i}, got ${shown(actual[i])}`);
      }
    }
  } else if (!isSame(actual, expected)) {
    throw new Error(`${what} should be ${shown(expected)}, got ${shown(actual)}`);
  }
}

/** Rounding gives -0 easily, and nobody sees it. */
const isSame = (a: unknown, b: unknown) => a === b || Object.is(a, b);

function judge(name: string, value: unknown): CheckCase {
  return { name, passed: value !== false, message: "" };
}

function failure(name: string, error: unknown): CheckCase {
  let message = error instanceof Error ? error.message : String(error);
  // An assertion with a hint: some versions of Node add a comparison to it, which would give the answer away.
  if (isAssertionError(error) && !error.generatedMessage) {
    message = message.split(/\n+(?:\+ actual - expected|.* !==? )/)[0];
    if (/^(strictEqual|equal)$/.test(error.operator)) message += ` (got ${shown(error.actual)})`;
  }
  const kind =
    error instanceof Error && !["Error", "AssertionError"].includes(error.name) ? `${error.name}: ` : "";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: assertion messages may come with colours
  return { name, passed: false, message: kind + message.replace(/\x1b\[[0-9;]*m/g, "") };
}

/** An error of Node's assert module or of one that stands in for it in a browser: known by its code. */
function isAssertionError(
  error: unknown,
): error is Error & { generatedMessage: boolean; operator: string; actual: unknown } {
  return error instanceof Error && (error as { code?: unknown }).code === "ERR_ASSERTION";
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === "function";
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function short(value: number): string {
  return String(Number(value?.toPrecision?.(6) ?? Number.NaN));
}
