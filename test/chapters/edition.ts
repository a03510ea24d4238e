// The Chinese edition of a chapter: the English one's code, cell by cell, under the Chinese one's own prose.
import { words } from "../../lib/book/words.ts";
import { solutionOf } from "../../lib/classroom/solutions.ts";
import { type Cell, type Notebook, textOf } from "../../lib/notebook/notebook.ts";

/** A solution with the code of `english`: what its own edition says around the code stays, where it says anything yet. */
function solutionInChinese(own: Cell | undefined, english: Cell): string[] {
  const code = solutionOf(english)!;
  const before = own && solutionOf(own);
  const text =
    before === undefined
      ? textOf(english.source).replace(
          `<summary>${words.en.solution}</summary>`,
          `<summary>${words.zh.solution}</summary>`,
        )
      : textOf(own!.source).replace(`\n${before}\n`, () => `\n${code}\n`);
  return text.split(/(?<=\n)/);
}

/**
 * The Chinese edition with all code of the English one. Prose stays as it is, by the cells' ids; a Markdown cell that is
 * new comes in English.
 */
export function withCodeOf(own: Notebook, english: Notebook): Notebook {
  const prose = new Map(
    own.cells.filter((cell) => cell.cell_type === "markdown").map((cell) => [cell.id, cell]),
  );
  const cells = english.cells.map((cell) => {
    if (cell.cell_type !== "markdown") return cell;
    const kept = prose.get(cell.id);
    if (solutionOf(cell) !== undefined) return { ...cell, source: solutionInChinese(kept, cell) };
    return kept ? { ...cell, source: kept.source } : cell;
  });
  return { ...english, cells };
}
