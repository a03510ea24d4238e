// What a search's worker is told and answers, and what it does between: one recipe after the other.
import type { Recipe } from "./recipe.ts";
import { type Row, runFrom } from "./run.ts";
import type { PipelineData } from "./technique.ts";

/** What every worker is told at its start. */
export interface WorkerStart {
  slim: Uint8Array;
  data: PipelineData;
  seed: number;
  cache: string | false;
}

/** What a worker answers to a recipe. */
export interface WorkerAnswer {
  /** Rows of the run, the original first; empty if it failed. */
  rows: Row[];
  /** Why the recipe could not be carried out. */
  error?: string;
  seconds: number;
}

/** A worker's side: takes what it is told, and answers each recipe. */
export function worker(send: (answer: WorkerAnswer) => void) {
  let start: WorkerStart | undefined;
  return async (message: WorkerStart | { recipe: Recipe }): Promise<void> => {
    if (!("recipe" in message)) {
      start = message;
      return;
    }
    const { slim, data, seed, cache } = start!;
    const began = performance.now();
    const seconds = () => (performance.now() - began) / 1000;
    try {
      const { rows } = await runFrom(slim, data, message.recipe, { seed, cache });
      send({ rows, seconds: seconds() });
    } catch (error) {
      send({ rows: [], error: error instanceof Error ? error.message : String(error), seconds: seconds() });
    }
  };
}
