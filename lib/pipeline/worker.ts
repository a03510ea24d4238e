// A process of its own for one recipe after the other, with a backend of its own; see pool.ts.

import type { WorkerAnswer, WorkerStart } from "./pool.ts";
import type { Recipe } from "./recipe.ts";
import { runFrom } from "./run.ts";

let start: WorkerStart | undefined;

process.on("message", async (message: WorkerStart | { recipe: Recipe }) => {
  if (!("recipe" in message)) {
    start = message;
    return;
  }
  const { slim, data, seed, cache } = start!;
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  let answer: WorkerAnswer;
  try {
    const { rows } = await runFrom(slim, data, message.recipe, { seed, cache });
    answer = { rows, seconds: seconds() };
  } catch (error) {
    answer = { rows: [], error: error instanceof Error ? error.message : String(error), seconds: seconds() };
  }
  process.send!(answer);
});
// Without the search there is nothing to work for.
process.on("disconnect", () => process.exit());
