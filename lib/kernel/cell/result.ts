// Where a cell's value is: its last statement's, as far down as V8 looks for it.
import type { Draft } from "./draft.ts";
import { isDeclaration, type Statement } from "./tree.ts";
import { resultMark, resultName } from "./words.ts";

/** Keeps the cell's value; whether it has one. `compiles`: a compiler could work the value out, or leave it out. */
export function keepResult(cell: Draft, compiles: boolean): boolean {
  const { body, directives, bareObject } = cell.tree;
  const last = body.at(-1);
  if (bareObject && last) {
    cell.insert(last.start, "(");
    cell.insert(last.end, ")");
  }
  // A cell that is nothing but strings has directives to the parser and a result to its writer.
  const directive = body.length === 0 ? directives.at(-1) : undefined;
  if (directive && !cell.inFunction) {
    cell.insert(directive.value.start, ";(");
    cell.insert(directive.value.end, ")");
  }
  const values = directive ? [directive.value] : valuesOfLast(body);
  for (const value of values) mark(cell, value, compiles);
  return values.length > 0;
}

type Place = { start: number; end: number };

/** The values that a list of statements may end in. */
function valuesOfLast(statements: Statement[]): Place[] {
  const last = statements.findLast((each) => each.type !== "EmptyStatement");
  return last ? valuesOf(last) : [];
}

function valuesOf(node: Statement | null | undefined): Place[] {
  switch (node?.type) {
    case "ExpressionStatement":
    case "TSExportAssignment":
      return [node.expression];
    case "ExportDefaultDeclaration": {
      const { declaration } = node;
      const isValue = !isDeclaration(declaration) || !("id" in declaration && declaration.id);
      return isValue ? [declaration] : [];
    }
    case "BlockStatement":
      return valuesOfLast(node.body);
    case "IfStatement":
      return [...valuesOf(node.consequent), ...valuesOf(node.alternate)];
    case "TryStatement":
      return [...valuesOf(node.block), ...valuesOf(node.handler?.body)];
    case "SwitchStatement":
      return node.cases.flatMap(({ consequent }) => {
        const end = consequent.findIndex(({ type }) => type === "BreakStatement");
        return valuesOfLast(end < 0 ? consequent : consequent.slice(0, end));
      });
    case "LabeledStatement":
    case "WithStatement":
      return valuesOf(node.body);
    default:
      return [];
  }
}

function mark(cell: Draft, { start, end }: Place, compiles: boolean): void {
  if (cell.inFunction) {
    // In an array, so that a promise that is the cell's value is not awaited on the way.
    cell.edits.unshift({ start, end: start, text: `${resultName} = [(` });
    // Behind a type, what the next line begins with may be a statement: see TypeEraser.
    const starts = /^\s*\n\s*[([`]/.test(cell.source.slice(end, end + 200));
    cell.closings.unshift({ at: end, text: starts ? ")];" : ")]" });
    cell.types.closed.add(end);
    return;
  }
  if (!compiles) return;
  // First of all edits, so that what closes at the same place closes around it.
  cell.edits.unshift({ start, end: start, text: `${resultMark}((` }, { start: end, end, text: "))" });
}
