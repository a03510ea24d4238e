// Runs a recipe in a process of its own, to be killed in the middle; see run.test.ts.
import { loadPretrained, useBackend } from "slimlab/nn";
import { runRecipe } from "slimlab/pipeline";
import { recipe, smallData } from "./fixture.ts";

await useBackend("wasm");
await runRecipe(await loadPretrained("lenet-300-100"), await smallData(), recipe, {
  cache: process.argv[2],
  onRow: ({ step }) => process.stdout.write(`step ${step}\n`),
});
