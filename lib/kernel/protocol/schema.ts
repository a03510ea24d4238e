// A small language for what a message's content holds: the compiler derives the type from it, and tests hold messages
// against it. Objects are closed: a field that the reference does not know is a fault.

/** Says what is wrong with a value; `at` is its place. An empty list: nothing. */
export interface Schema<T> {
  faults(value: unknown, at: string): string[];
  /** Never there: it carries the type. */
  readonly type?: T;
}

/** The type that a schema describes. */
export type Of<S> = S extends Schema<infer T> ? T : never;

type Fields = Record<string, Schema<unknown>>;
type FieldsOf<F extends Fields> = { [K in keyof F]: Of<F[K]> };

function simple<T>(what: string, is: (value: unknown) => boolean): Schema<T> {
  return { faults: (value, at) => (is(value) ? [] : [`${at} must be ${what}, is ${shown(value)}`]) };
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const text: Schema<string> = simple("text", (value) => typeof value === "string");
export const flag: Schema<boolean> = simple("true or false", (value) => typeof value === "boolean");
export const whole: Schema<number> = simple("a whole number from 0", (value) => {
  return Number.isInteger(value) && (value as number) >= 0;
});
export const nothing: Schema<null> = simple("null", (value) => value === null);
export const real: Schema<number> = simple("a number", (value) => Number.isFinite(value));
/** A JSON object whose names are not the protocol's. */
// biome-ignore lint/suspicious/noExplicitAny: what is in it is the user's.
export const record: Schema<Record<string, any>> = simple("an object", isRecord);

/** One of these words. */
export function oneOf<const T extends string>(...words: T[]): Schema<T> {
  return simple(words.map((word) => JSON.stringify(word)).join(" or "), (value) =>
    words.includes(value as T),
  );
}

export function list<T>(of: Schema<T>): Schema<T[]> {
  return {
    faults: (value, at) =>
      Array.isArray(value)
        ? value.flatMap((each, i) => of.faults(each, `${at}[${i}]`))
        : [`${at} must be a list, is ${shown(value)}`],
  };
}

/** A list of fixed length, each place with its own schema. */
export function tuple<T extends Schema<unknown>[]>(...of: T): Schema<{ [K in keyof T]: Of<T[K]> }> {
  return {
    faults: (value, at) =>
      Array.isArray(value) && value.length === of.length
        ? of.flatMap((each, i) => each.faults(value[i], `${at}[${i}]`))
        : [`${at} must be a list of ${of.length}, is ${shown(value)}`],
  };
}

/** An object whose every value is `of`. */
export function map<T>(of: Schema<T>): Schema<Record<string, T>> {
  return {
    faults: (value, at) =>
      isRecord(value)
        ? Object.entries(value).flatMap(([name, each]) => of.faults(each, `${at}.${name}`))
        : [`${at} must be an object, is ${shown(value)}`],
  };
}

export function object<R extends Fields, O extends Fields = Record<never, never>>(
  required: R,
  optional: O = {} as O,
): Schema<FieldsOf<R> & Partial<FieldsOf<O>>> {
  return {
    faults(value, at) {
      if (!isRecord(value)) return [`${at} must be an object, is ${shown(value)}`];
      const found: string[] = [];
      for (const [name, schema] of Object.entries(required)) {
        if (name in value) found.push(...schema.faults(value[name], `${at}.${name}`));
        else found.push(`${at}.${name} is missing`);
      }
      for (const [name, each] of Object.entries(value)) {
        if (Object.hasOwn(required, name)) continue;
        if (Object.hasOwn(optional, name)) found.push(...optional[name].faults(each, `${at}.${name}`));
        else found.push(`${at}.${name} is not in the reference`);
      }
      return found;
    },
  };
}

/** Any one of these. The faults are those of the nearest. */
export function either<S extends Schema<unknown>[]>(...of: S): Schema<Of<S[number]>> {
  return {
    faults(value, at) {
      const all = of.map((each) => each.faults(value, at));
      return all.reduce((best, each) => (each.length < best.length ? each : best));
    },
  };
}
