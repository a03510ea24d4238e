// What of a student's notebook runs: first what its exercises need, then, where that settles too little, more.
import { type Notebook, textOf } from "../notebook/notebook.ts";
import { codeCells } from "../notebook/run.ts";
import type { Assignment } from "./assignment.ts";
import type { Sources } from "./attempt.ts";
import { type CellFacts, sliceFor } from "./slice.ts";
import { type ThinSlice, ThinSlicer } from "./thin.ts";

/** What of a notebook runs. */
export interface Plan {
  first: Sources;
  /** For the exercises that `first` leaves unsettled. */
  more: Sources;
  /** `more` is all of the notebook. */
  isWhole: boolean;
}

/** The names whose values students give. */
export function givenIn({ cells }: Assignment): string[] {
  return cells.flatMap(({ parts }) => parts.flatMap(({ given }) => given));
}

/**
 * What of a notebook runs.
 *
 * @param same names of the teacher's that a thin slice leaves as they are (see thin.ts); undefined where that is not known
 */
export async function planFor(
  notebook: Notebook,
  facts: Map<number, CellFacts>,
  assignment: Assignment,
  { all, same }: { all?: boolean; same?: ReadonlySet<string> },
): Promise<Plan> {
  const whole = new Map(
    codeCells(notebook).map(({ cell, number }): [number, string] => [number - 1, textOf(cell.source)]),
  );
  if (all) return { first: whole, more: whole, isWhole: true };
  const given = givenIn(assignment);
  if (same) {
    const isKnown = ({ taught }: ThinSlice) => [...taught].every((name) => same.has(name));
    const slicer = await ThinSlicer.of(notebook, assignment);
    const needed = slicer.slice(given);
    if (isKnown(needed)) {
      const withOwn = slicer.slice(given, true);
      const isWhole = !isKnown(withOwn);
      return { first: needed.cells, more: isWhole ? whole : withOwn.cells, isWhole };
    }
  }
  const slice = sliceFor(facts, given);
  const first = new Map([...whole].filter(([index]) => slice.has(index)));
  return { first, more: whole, isWhole: true };
}
