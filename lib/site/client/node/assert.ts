// `node:assert/strict`, whose errors say what was expected and what came.
import { inspect } from "#platform";
import { isDeepStrictEqual } from "./deep-equal.ts";

export interface AssertionDetails {
  message?: string | Error;
  actual?: unknown;
  expected?: unknown;
  operator?: string;
}

export class AssertionError extends Error {
  readonly code = "ERR_ASSERTION";
  readonly generatedMessage: boolean;
  readonly actual: unknown;
  readonly expected: unknown;
  readonly operator: string;
  constructor({ message, actual, expected, operator = "fail" }: AssertionDetails, words = "Failed") {
    super(message === undefined ? words : String(message));
    this.name = "AssertionError";
    this.generatedMessage = message === undefined;
    this.actual = actual;
    this.expected = expected;
    this.operator = operator;
  }
}

type Message = string | Error | undefined;

const shown = (value: unknown) => inspect(value, { depth: 4, breakLength: 80 });

function demand(holds: boolean, details: AssertionDetails, words: () => string): void {
  if (holds) return;
  if (details.message instanceof Error) throw details.message;
  throw new AssertionError(details, words());
}

export function ok(value: unknown, message?: Message): asserts value {
  demand(
    Boolean(value),
    { message, actual: value, expected: true, operator: "==" },
    () => `The expression evaluated to a falsy value: ${shown(value)}`,
  );
}

export function equal(actual: unknown, expected: unknown, message?: Message): void {
  demand(
    Object.is(actual, expected),
    { message, actual, expected, operator: "strictEqual" },
    () => `Expected values to be strictly equal:\n\n${shown(actual)} !== ${shown(expected)}\n`,
  );
}

export function notEqual(actual: unknown, expected: unknown, message?: Message): void {
  demand(
    !Object.is(actual, expected),
    { message, actual, expected, operator: "notStrictEqual" },
    () => `Expected "actual" to be strictly unequal to: ${shown(expected)}`,
  );
}

export function deepEqual(actual: unknown, expected: unknown, message?: Message): void {
  demand(
    isDeepStrictEqual(actual, expected),
    { message, actual, expected, operator: "deepStrictEqual" },
    () =>
      `Expected values to be strictly deep-equal:\n\n${shown(actual)}\n\nshould equal\n\n${shown(expected)}\n`,
  );
}

export function notDeepEqual(actual: unknown, expected: unknown, message?: Message): void {
  demand(
    !isDeepStrictEqual(actual, expected),
    { message, actual, expected, operator: "notDeepStrictEqual" },
    () => `Expected "actual" not to be strictly deep-equal to: ${shown(expected)}`,
  );
}

export function match(actual: string, expected: RegExp, message?: Message): void {
  demand(
    expected.test(actual),
    { message, actual, expected, operator: "match" },
    () => `The input did not match the regular expression ${expected}. Input:\n\n${shown(actual)}\n`,
  );
}

export function doesNotMatch(actual: string, expected: RegExp, message?: Message): void {
  demand(
    !expected.test(actual),
    { message, actual, expected, operator: "doesNotMatch" },
    () =>
      `The input was expected to not match the regular expression ${expected}. Input:\n\n${shown(actual)}\n`,
  );
}

type Wanted = RegExp | (new (...args: never[]) => object) | ((error: unknown) => boolean) | object;

/** Whether an error is as it was wanted; one that is not goes on. */
function check(error: unknown, wanted: Wanted | undefined, message: Message): void {
  if (wanted === undefined) return;
  if (wanted instanceof RegExp) match(String(error), wanted, message);
  else if (typeof wanted === "function") {
    if (wanted.prototype !== undefined && error instanceof (wanted as new () => object)) return;
    if (wanted === Error || Object.prototype.isPrototypeOf.call(Error, wanted)) {
      const words = `The error is expected to be an instance of "${wanted.name}". Received ${shown(error)}`;
      demand(false, { message, actual: error, expected: wanted, operator: "throws" }, () => words);
    }
    const holds = (wanted as (error: unknown) => unknown)(error) === true;
    demand(
      holds,
      { message, actual: error, expected: wanted, operator: "throws" },
      () => "The validation function is expected to return true.",
    );
  } else
    for (const [key, value] of Object.entries(wanted)) {
      const found = (error as Record<string, unknown>)[key];
      if (value instanceof RegExp) match(String(found), value, message);
      else deepEqual(found, value, message);
    }
}

const arranged = (wanted: Wanted | string | undefined, message: Message): [Wanted | undefined, Message] =>
  typeof wanted === "string" ? [undefined, wanted] : [wanted, message];

const missingError = (message: Message, operator: string) => () =>
  demand(false, { message, operator }, () =>
    operator === "throws" ? "Missing expected exception." : "Missing expected rejection.",
  );

export function throws(body: () => unknown, wanted?: Wanted | string, message?: Message): void {
  const [asked, said] = arranged(wanted, message);
  try {
    body();
  } catch (error) {
    check(error, asked, said);
    return;
  }
  missingError(said, "throws")();
}

export async function rejects(
  body: Promise<unknown> | (() => Promise<unknown>),
  wanted?: Wanted | string,
  message?: Message,
): Promise<void> {
  const [asked, said] = arranged(wanted, message);
  try {
    await (typeof body === "function" ? body() : body);
  } catch (error) {
    check(error, asked, said);
    return;
  }
  missingError(said, "rejects")();
}

export function doesNotThrow(body: () => unknown): void {
  body();
}

export async function doesNotReject(body: Promise<unknown> | (() => Promise<unknown>)): Promise<void> {
  await (typeof body === "function" ? body() : body);
}

export function fail(message: Message = "Failed"): never {
  throw message instanceof Error ? message : new AssertionError({ message });
}

export function ifError(value: unknown): void {
  if (value !== null && value !== undefined) throw value;
}

const assert = Object.assign((value: unknown, message?: Message) => ok(value, message), {
  AssertionError,
  ok,
  equal,
  notEqual,
  deepEqual,
  notDeepEqual,
  strictEqual: equal,
  notStrictEqual: notEqual,
  deepStrictEqual: deepEqual,
  notDeepStrictEqual: notDeepEqual,
  match,
  doesNotMatch,
  throws,
  rejects,
  doesNotThrow,
  doesNotReject,
  fail,
  ifError,
});
export const strict = Object.assign(assert, { strict: assert });
export {
  deepEqual as deepStrictEqual,
  equal as strictEqual,
  notDeepEqual as notDeepStrictEqual,
  notEqual as notStrictEqual,
};
export default strict;
