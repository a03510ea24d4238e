// §2.3 Checks of a recipe's fields: recipes are data from files and searches, so each field is looked at before a step runs.

import { checkInteger, checkNumber, checkOneOf, shown } from "../util/check.ts";

/** Throws a RangeError that names the field unless its value will do; `step` has the other fields. */
export type Check = (name: string, value: never, step: Record<string, unknown>) => void;

/** A whole number, as exact as numbers get. */
export const whole = (min: number, max = Number.MAX_SAFE_INTEGER): Check => {
  return (name, value) => checkInteger(name, value, min, max);
};

/** Any number. */
export const number = (min: number, max?: number): Check => {
  return (name, value) => checkNumber(name, value, min, max);
};

/** One of a closed vocabulary's words. */
export const oneOf = (...allowed: readonly string[]): Check => {
  return (name, value) => checkOneOf<string>(name, value, allowed);
};

/** From 0 to 1. */
export const share = number(0, 1);

export const flag: Check = (name, value) => {
  if (typeof value !== "boolean") throw new RangeError(`${name} must be true or false, got ${shown(value)}`);
};

/** A list of layer names. */
export const layerNames: Check = (name, value) => {
  const list = value as unknown;
  if (!Array.isArray(list) || list.length === 0 || !list.every((entry) => typeof entry === "string"))
    throw new RangeError(`${name} must be a list of layer names, got ${shown(value)}`);
};

/** One layer's name. */
export const layerName: Check = (name, value) => {
  if (typeof value !== "string") throw new RangeError(`${name} must be a layer's name, got ${shown(value)}`);
};

/** One value for all layers, or one for each by name. */
export const perLayer = (check: Check): Check => {
  const named = byLayer("a number, or a number for each layer by name", check);
  return (name, value, step) => (typeof value === "number" ? check : named)(name, value as never, step);
};

/** A value for each layer by name; `what` says so in messages. */
export const byLayer = (what: string, check: Check): Check => {
  return (name, value, step) => {
    const given = value as unknown;
    if (typeof given !== "object" || given === null || Array.isArray(given))
      throw new RangeError(`${name} must be ${what}, got ${shown(value)}`);
    if (Object.keys(given).length === 0) throw new RangeError(`${name} must name at least one layer`);
    for (const [layer, one] of Object.entries(given)) check(`${name}.${layer}`, one as never, step);
  };
};

/** A list of at least one entry, each checked by itself. */
export const listOf = (what: string, check: Check): Check => {
  return (name, value, step) => {
    const list = value as unknown;
    if (!Array.isArray(list) || list.length === 0)
      throw new RangeError(`${name} must be a list of ${what}, got ${shown(value)}`);
    list.forEach((entry, i) => {
      check(`${name}[${i}]`, entry as never, step);
    });
  };
};

/** What an object may and must have. */
export interface Fields {
  /** Fields without which it says nothing. */
  needed?: readonly string[];
  /** Exactly one of these. */
  one?: readonly string[];
  /** At least one of these. */
  some?: readonly string[];
  fields: Readonly<Record<string, Check>>;
}

/** An object with fields of its own. */
export const objectOf = (fields: Fields): Check => {
  return (name, value) => checkFields(value, name, fields);
};

/**
 * Checks an object's fields.
 *
 * @param prefix what messages call the object; nothing for the step itself
 */
export function checkFields(given: object, prefix: string, { needed = [], one, some, fields }: Fields): void {
  if (typeof given !== "object" || given === null)
    throw new RangeError(`${prefix} must be an object, got ${shown(given)}`);
  const field = (name: string) => (prefix ? `${prefix}.${name}` : name);
  const values = given as Record<string, unknown>;
  const has = (name: string) => values[name] !== undefined;
  for (const name of Object.keys(values)) {
    if (!Object.hasOwn(fields, name))
      throw new RangeError(
        `there is no field ${shown(field(name))}; there are ${Object.keys(fields).join(", ")}`,
      );
  }
  for (const name of needed) if (!has(name)) throw new RangeError(`${field(name)} is missing`);
  const chosen = one?.filter(has) ?? [];
  if (one && chosen.length !== 1)
    throw new RangeError(
      `give exactly one of ${one.join(", ")}, got ${chosen.length === 0 ? "none" : chosen.join(" and ")}`,
    );
  if (some && !some.some(has)) throw new RangeError(`give ${some.join(", ")} or both, got none`);
  for (const [name, check] of Object.entries(fields)) {
    if (has(name)) check(field(name), values[name] as never, values);
  }
}
