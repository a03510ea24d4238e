// §2.3 A recipe: techniques in sequence, as plain data that can be kept in a file, hashed, and searched over.

import { checkOneOf, shown } from "../util/check.ts";
import { checkFields, type Fields, whole } from "./fields.ts";
import { type Step, techniqueNames, techniques } from "./techniques.ts";

/** Techniques in the order in which they are applied. */
export type Recipe = readonly Step[];

const seed = whole(0, 2 ** 32 - 1);

/**
 * Checks that a recipe can be read: every step is of a known technique, has what it needs and nothing unknown.
 *
 * @throws RangeError that names the step, counted from 1, its technique and the field
 */
export function checkRecipe(recipe: Recipe): void {
  if (!Array.isArray(recipe))
    throw new RangeError(`a recipe must be a list of steps, got ${shown(recipe as unknown)}`);
  recipe.forEach((step: Step, i) => {
    if (typeof step !== "object" || step === null)
      throw new RangeError(`step ${i + 1} must be an object with a technique, got ${shown(step as unknown)}`);
    try {
      checkOneOf("technique", step.technique, techniqueNames);
    } catch (error) {
      throw new RangeError(`step ${i + 1}: ${(error as Error).message}`);
    }
    try {
      const { technique, ...given } = step;
      const known: Fields = techniques[technique];
      checkFields(given, "", { ...known, fields: { ...known.fields, seed } });
    } catch (error) {
      throw new RangeError(`${stepName(step, i + 1)}: ${(error as Error).message}`);
    }
  });
}

/** How messages name a step. */
export function stepName(step: Step, place: number): string {
  return `step ${place} (${step.technique})`;
}

/** JSON with sorted keys: equal for steps that say the same. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
