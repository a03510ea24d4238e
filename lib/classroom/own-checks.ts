// What the checks of a notebook said when it ran: for its own author, who has no reason to forge them.
import { type Notebook, textOf } from "../notebook/notebook.ts";
import { type CheckCase, checkMime } from "./check.ts";
import { checkCells } from "./exercises.ts";

/** A check's result among a notebook's outputs. */
export interface OwnResult {
  name: string;
  passed: boolean;
  cases: CheckCase[];
  /** What to read again. */
  read?: string;
}

/** The last result of each exercise, and the exercises that left none, with the reason. */
export async function checkResultsIn(
  notebook: Notebook,
): Promise<{ results: OwnResult[]; missing: { name: string; reason: string }[] }> {
  const found = new Map<string, OwnResult>();
  for (const { outputs = [] } of notebook.cells) {
    for (const output of outputs) {
      if (output.output_type !== "display_data" && output.output_type !== "execute_result") continue;
      const result = output.data[checkMime] as OwnResult | undefined;
      if (typeof result?.name === "string" && Array.isArray(result.cases)) found.set(result.name, result);
    }
  }
  const missing: { name: string; reason: string }[] = [];
  for (const { index, names } of await checkCells(notebook)) {
    for (const name of names.filter((one) => !found.has(one))) {
      const error = notebook.cells[index].outputs?.find((output) => output.output_type === "error");
      const reason =
        error?.output_type === "error"
          ? `its cell failed: ${textOf([error.ename, ": ", error.evalue])}`
          : "its cell did not run, or does not show the check's result";
      missing.push({ name, reason });
    }
  }
  return { results: [...found.values()], missing };
}
