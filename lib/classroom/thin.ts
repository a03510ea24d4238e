// Thin slices: of the teacher's own cells only the statements that declare what an exercise needs, or assign to it, and
// nothing of what they show, train or measure on the way (after Sridharan, Fink and Bodík, "Thin Slicing", 2007). A
// chapter's exercises mostly need a dozen of its hundred statements, while whatever mentions a model and is waited for may
// have changed that model.
//
// What makes that safe: once, before the first submission, the teacher's solved notebook runs in both ways, and the values
// of the names that its exercises need are compared (baseline.ts). A submission is graded by a thin slice only if
// - what is left out of it stands in the teacher's notebook word for word: all that a student has written or changed is
//   treated as ever, whole, and with what may change what it needs;
// - it needs no names of the teacher's but those whose values are the same in both ways, so that his code, right or wrong,
//   meets what it would meet in the whole notebook, and gets the same verdict. Any other goes the long way.
// A cheat gains nothing: what a slice leaves out of his own could only have cost him points, what it leaves out of the
// teacher's changes nothing that his code can name, and the checks and what they compare with lie with the judge, who runs
// the teacher's notebook as ever. Two things are not seen: what closures and modules hold (a generator's place in its
// sequence), where that the teacher's solutions get the same verdicts in both ways has to do; and that a statement which is
// left out would have repaired what a student has broken of the teacher's values.
import { outerUses } from "../kernel/cell/scope.ts";
import type { Statement } from "../kernel/cell/tree.ts";
import { type Notebook, textOf } from "../notebook/notebook.ts";
import { codeCells } from "../notebook/run.ts";
import type { Assignment } from "./assignment.ts";
import { isTests, withoutChecks } from "./attempt.ts";
import { blanked, isImport, namesOf, type PlacedStatement, statementsOf } from "./code.ts";
import { assignedBy, type CellFacts, touchedBy, touchedIn } from "./slice.ts";
import { isSolution } from "./solutions.ts";

/** A statement of the teacher's, or a cell of the student's. */
interface Unit extends CellFacts {
  /** Undefined for a cell of the student's, which is taken whole. */
  statement?: PlacedStatement;
  /** Names to which it assigns. */
  assigned: Set<string>;
}

/** What of a notebook runs. */
export interface ThinSlice {
  /** The cells that run, by their place, with what of their code does. */
  cells: Map<number, string>;
  /** Names that statements of the teacher's in it declare, imports apart; and those by which anything may be reached. */
  taught: Set<string>;
}

/** A notebook's statements and cells, from which thin slices are made. */
export class ThinSlicer {
  readonly #sources = new Map<number, string>();
  readonly #units: Unit[] = [];
  /** Cells of the student's that do something; also those that cannot be read. */
  readonly #own = new Set<number>();

  private constructor() {}

  static async of(notebook: Notebook, assignment: Assignment): Promise<ThinSlicer> {
    const slicer = new ThinSlicer();
    const taught = taughtIn(assignment);
    let last = -1;
    for (const { cell, number } of codeCells(notebook)) {
      const index = number - 1;
      const source = textOf(cell.source);
      slicer.#sources.set(index, source);
      // A cell that stands elsewhere than the teacher has put it is the student's.
      const place = taught.indexOf(bare(source), last + 1);
      const statements = place >= 0 ? statementsOf(source) : undefined;
      if (statements) last = place;
      else if (!isTests(source)) slicer.#own.add(index);
      for (const statement of statements ?? [undefined]) {
        const text = statement ? source.slice(statement.start, statement.end) : withoutChecks(source);
        const names = await namesOf(text);
        if (!names) continue;
        const references = usedIn(statement ? [statement.node] : nodesOf(text));
        for (const name of names.declared) references.delete(name);
        const assigned = statement ? assignedBy(statement.node) : [];
        slicer.#units.push({
          ...names,
          index,
          statement,
          references,
          touched: statement
            ? await touchedBy(statement.node, text, statement === statements!.at(-1))
            : await touchedIn(text),
          assigned: new Set([...assigned].filter((name) => references.has(name))),
        });
      }
    }
    return slicer;
  }

  /**
   * The thin slice for some names that the student gives.
   *
   * @param withOwn every cell of the student's runs, not only those that are needed
   */
  slice(given: Iterable<string>, withOwn = false): ThinSlice {
    const asked = new Set(given);
    const needed = new Set(asked);
    const kept = new Set<Unit>();
    const imported = new Set<string>();
    const isNeeded = (unit: Unit) =>
      meets(unit.declared, needed) ||
      meets(unit.assigned, needed) ||
      meets(unit.touched, unit.statement ? asked : needed) ||
      (withOwn && this.#own.has(unit.index)) ||
      (this.#isSetUp(unit) && meets(unit.references, imported));
    for (let before = -1; before !== kept.size; ) {
      before = kept.size;
      for (const unit of this.#units) {
        if (kept.has(unit) || !isNeeded(unit)) continue;
        kept.add(unit);
        for (const name of unit.references) needed.add(name);
        for (const name of unit.imported) imported.add(name);
      }
    }
    const cells = new Map<number, string>();
    // Code that is made when it runs may mention anything.
    const taught = new Set(["eval", "Function"].filter((name) => needed.has(name)));
    for (const [index, source] of this.#sources) {
      const units = this.#units.filter((unit) => unit.index === index);
      const runs = units.some((unit) => kept.has(unit)) || (withOwn && this.#own.has(index));
      if (!runs) continue;
      let text = source;
      for (const unit of units) {
        const { statement, declared } = unit;
        if (!statement) continue;
        if (!kept.has(unit)) text = blanked(text, statement.start, statement.end);
        else if (!isImport(statement.node)) for (const name of declared) taught.add(name);
      }
      cells.set(index, text);
    }
    return { cells, taught };
  }

  /** A call that concerns a module and no value of the notebook's, as `await useBackend("wasm")` does. */
  #isSetUp({ statement, references }: Unit): boolean {
    return (
      statement?.node.type === "ExpressionStatement" &&
      !this.#units.some(({ declared, imported }) =>
        [...declared].some((name) => !imported.has(name) && references.has(name)),
      )
    );
  }
}

const nodesOf = (source: string) => (statementsOf(source) ?? []).map(({ node }) => node);

/** What statements mention of what lies outside of each of them: a parameter of the same name is another one. */
const usedIn = (statements: Statement[]) =>
  new Set(
    outerUses(statements, () => true)
      .filter(({ declares }) => !declares)
      .map(({ node }) => node.name),
  );

const meets = (a: Set<string>, b: Set<string>) => [...a].some((one) => b.has(one));

/** Line ends are the editor's. */
const bare = (source: string) => source.replace(/\r\n?/g, "\n").trimEnd();

/** The code of the teacher's cells that are no exercises, in order. */
function taughtIn({ notebook, cells }: Assignment): string[] {
  const exercises = new Set(cells.map(({ index }) => index));
  return codeCells(notebook)
    .filter(({ cell, number }) => !exercises.has(number - 1) && !isSolution(cell))
    .map(({ cell }) => bare(textOf(cell.source)));
}
