// What is asked of `slimlab compress`: so many bytes, at most so much lost, or a recipe to carry out.
import { readFile } from "node:fs/promises";
import { checkRecipe, type Recipe } from "../../pipeline/index.ts";
import { shown } from "../../util/check.ts";

/** Exactly one of the three. */
export type Goal =
  | { kind: "budget"; bytes: number }
  /** How much accuracy (or agreement) may be lost, as a share of all images. */
  | { kind: "drop"; share: number }
  | { kind: "recipe"; recipe: Recipe };

const units: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Bytes from `100KB`, `1.5 MB`, `64KiB` or `100000`. */
export function bytesFrom(name: string, text: string): number {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = units[(unit || "B").toUpperCase()];
  if (number === undefined || factor === undefined || Number(number) === 0)
    throw new Error(`${name} must be a size such as 100KB, 1.5MB or 64KiB, got ${shown(text)}`);
  return Math.floor(Number(number) * factor);
}

/** A share from `0.5%` or `0.005`. */
export function shareFrom(name: string, text: string): number {
  const [, number, percent] = /^\s*(\d+(?:\.\d+)?)\s*(%?)\s*$/.exec(text) ?? [];
  const share = number === undefined ? Number.NaN : Number(number) / (percent ? 100 : 1);
  if (!(share >= 0 && share < 1))
    throw new Error(`${name} must be a share such as 0.5% or 0.005, below 100%, got ${shown(text)}`);
  return share;
}

/** The goal that a command line names. */
export async function goalOf(given: {
  budget?: string;
  "max-drop"?: string;
  recipe?: string;
}): Promise<Goal> {
  const { budget, "max-drop": drop, recipe } = given;
  if ([budget, drop, recipe].filter((one) => one !== undefined).length !== 1)
    throw new Error("give exactly one of --budget SIZE, --max-drop SHARE and --recipe FILE");
  if (budget !== undefined) return { kind: "budget", bytes: bytesFrom("--budget", budget) };
  if (drop !== undefined) return { kind: "drop", share: shareFrom("--max-drop", drop) };
  return { kind: "recipe", recipe: await readRecipe(recipe!) };
}

/** A recipe from a JSON file: a list of steps, or an object with one, as report.json has it. */
async function readRecipe(file: string): Promise<Recipe> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`--recipe must be a JSON file, got ${file}: ${error.code}`, { cause: error });
  });
  let recipe: unknown;
  try {
    const json: unknown = JSON.parse(text);
    recipe = Array.isArray(json) ? json : (Object(json) as { recipe?: unknown }).recipe;
    checkRecipe(recipe as Recipe);
  } catch (error) {
    throw new Error(`--recipe ${file}: ${(error as Error).message}`, { cause: error });
  }
  return recipe as Recipe;
}
