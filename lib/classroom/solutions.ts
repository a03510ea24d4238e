// Solutions: which cell holds one, which exercise it solves, and that exercise with it in the place of its stub.
import { type Cell, type Notebook, textOf } from "../notebook/notebook.ts";
import { isImport, ownNames, statementsOf, withComment } from "./code.ts";

const fences = /^(```+|~~~+)[ \t]*(?:ts|typescript|js|javascript)[ \t]*\n([\s\S]*?)\n\1[ \t]*$/gm;

/**
 * The code of a solution: of a cell tagged `solution`, all of it; in prose so tagged, its one block of code. Prose is what
 * chapters use: it folds everywhere, and "Run All" passes it by. Undefined for any other cell.
 */
export function solutionOf(cell: Cell): string | undefined {
  if (!cell.metadata.tags?.includes("solution")) return undefined;
  const source = textOf(cell.source);
  if (cell.cell_type === "code") return source;
  const blocks = [...source.matchAll(fences)];
  return cell.cell_type === "markdown" && blocks.length === 1 ? blocks[0][2] : undefined;
}

/** Whether a cell holds a solution that can be put in the place of a stub. */
export function isSolution(cell: Cell): boolean {
  return solutionOf(cell) !== undefined;
}

/** The exercise cell that a solution cell solves: the code before it. */
export function stubOf(notebook: Notebook, solution: number): number | undefined {
  for (let index = solution - 1; index >= 0; index--) {
    const cell = notebook.cells[index];
    if (cell.cell_type === "code" && !isSolution(cell)) return index;
  }
  return undefined;
}

/** The code of each solution, by the place of the exercise cell that it solves. */
export function solutionsIn(notebook: Notebook): Map<number, string> {
  const found = new Map<number, string>();
  for (const [index, cell] of notebook.cells.entries()) {
    const code = solutionOf(cell);
    if (code === undefined) continue;
    const stub = stubOf(notebook, index);
    if (stub === undefined) throw new Error(`the solution in cell ${index + 1} has no exercise before it`);
    const before = found.get(stub);
    found.set(stub, before === undefined ? code : `${before}\n${code}`);
  }
  return found;
}

/** A solution's code in the place of the stub that it solves. */
export async function solvedSource(stub: string, solution: string): Promise<string> {
  const solved = await ownNames(solution);
  const replaced: { start: number; end: number }[] = [];
  for (const { start, end, node } of statementsOf(stub) ?? []) {
    if (isImport(node)) continue;
    const names = await ownNames(stub.slice(start, end));
    if ([...names].some((name) => solved.has(name))) replaced.push({ start, end: withComment(stub, end) });
  }
  if (replaced.length === 0) {
    throw new Error(
      `a solution declares none of its exercise's names: ${[...solved].join(", ") || "none at all"}`,
    );
  }
  return stub.slice(0, replaced[0].start) + solution.trim() + stub.slice(replaced.at(-1)!.end);
}

/** The notebook as someone hands it in who has taken over every solution. */
export async function withSolutions(notebook: Notebook): Promise<Notebook> {
  const cells = notebook.cells.map((cell) => structuredClone(cell));
  for (const [stub, code] of solutionsIn(notebook)) {
    cells[stub].source = await solvedSource(textOf(cells[stub].source), code);
  }
  return { ...notebook, cells: cells.filter((cell) => !isSolution(cell)) };
}
