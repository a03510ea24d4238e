// The exercises of a chapter that has run: what is handed out, its solutions, and answers that a check must tell apart.
import { type CheckCase, checkMime } from "../../lib/classroom/check.ts";
import { solutionsIn, solvedSource } from "../../lib/classroom/solutions.ts";
import type { KernelClient } from "../../lib/kernel/client.ts";
import { type Cell, type Notebook, type Output, textOf } from "../../lib/notebook/notebook.ts";
import { otherAnswers } from "./answers.ts";

/** What an exercise's cell came to. */
export interface Outcome {
  exercise: string;
  /** Which answer it was. */
  answer: string;
  wanted: "right" | "wrong";
  cases: CheckCase[];
  /** An error that ended the cell, type errors included. */
  error?: string;
  seconds: number;
}

/** The checks among a cell's outputs, by exercise. */
export function checksIn(outputs: readonly Output[]): Map<string, CheckCase[]> {
  const found = new Map<string, CheckCase[]>();
  for (const output of outputs) {
    const result = output.output_type === "execute_result" ? output.data[checkMime] : undefined;
    if (result) found.set((result as { name: string }).name, (result as { cases: CheckCase[] }).cases);
  }
  return found;
}

/** Runs an exercise's cell with each answer in the place of its stub: the chapter's own last. */
async function outcomesOf(kernel: KernelClient, cell: Cell, solution: string): Promise<Outcome[]> {
  const stub = textOf(cell.source);
  const names = [...stub.matchAll(/\bcheck\(\s*"([^"]+)"/g)].map(([, name]) => name);
  if (names.length === 0) throw new Error(`no check is found in the exercise ${cell.id}: ${stub}`);
  const others = (wanted: Outcome["wanted"]) => names.flatMap((name) => otherAnswers[name]?.[wanted] ?? []);
  const tried = [
    ...others("wrong").map((code) => [code, "wrong"] as const),
    ...others("right").map((code) => [code, "right"] as const),
    [solution, "right"] as const,
  ];
  const outcomes: Outcome[] = [];
  for (const [code, wanted] of tried) {
    const started = performance.now();
    const { status, outputs, content } = await kernel.execute(await solvedSource(stub, code));
    const seconds = (performance.now() - started) / 1000;
    const common = { answer: code === solution ? "its solution" : code, wanted, seconds };
    const found = checksIn(outputs as Output[]);
    const error = status === "ok" ? undefined : `${content.ename}: ${content.evalue}`;
    for (const exercise of names) {
      outcomes.push({ ...common, exercise, cases: found.get(exercise) ?? [], ...(error && { error }) });
    }
  }
  return outcomes;
}

/** Solves the exercises of a chapter in the kernel that has just run it, one after the other. */
export async function solveIn(kernel: KernelClient, notebook: Notebook): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [stub, solution] of solutionsIn(notebook)) {
    outcomes.push(...(await outcomesOf(kernel, notebook.cells[stub], solution)));
  }
  return outcomes;
}

/** What an outcome should not be, in words; undefined where it is as it should be. */
export function troubleIn({ exercise, answer, wanted, cases, error }: Outcome): string | undefined {
  if (error) return `${exercise}, ${answer}: ${error}`;
  if (cases.length === 0) return `${exercise}, ${answer}: its check shows nothing`;
  const failed = cases.filter(({ passed }) => !passed);
  if (wanted === "wrong")
    return failed.length > 0 ? undefined : `${exercise} takes a wrong answer: ${answer}`;
  return failed.length === 0
    ? undefined
    : `${exercise}, ${answer}: ${failed.map(({ name, message }) => `${name}: ${message}`).join("; ")}`;
}
