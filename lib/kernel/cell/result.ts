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
  const found: { start: number; end: number }[] = [];
  // A cell that is nothing but strings has directives to the parser and a result to its writer.
  const directive = body.length === 0 ? directives.at(-1) : undefined;
  if (directive) {
    if (!cell.inFunction) {
      cell.insert(directive.value.start, ";(");
      cell.insert(directive.value.end, ")");
    }
    found.push(directive.value);
  }
  const showsResult = directive !== undefined || valuesOfLast(body, found);
  for (const each of found) mark(cell, each, compiles);
  return showsResult;
}

type Found = { start: number; end: number }[];

/** Whether a list of statements ends in a value. */
function valuesOfLast(statements: Statement[], found: Found): boolean {
  const last = statements.findLast((each) => each.type !== "EmptyStatement");
  return last !== undefined && valuesOf(last, found);
}

function valuesOf(node: Statement, found: Found): boolean {
  switch (node.type) {
    case "ExpressionStatement":
    case "TSExportAssignment":
      found.push(node.expression);
      return true;
    case "ExportDefaultDeclaration": {
      const { declaration } = node;
      const isValue = !isDeclaration(declaration) || !("id" in declaration && declaration.id);
      if (isValue) found.push(declaration);
      return isValue;
    }
    case "BlockStatement":
      return valuesOfLast(node.body, found);
    case "IfStatement": {
      const first = valuesOf(node.consequent, found);
      return (node.alternate ? valuesOf(node.alternate, found) : false) || first;
    }
    case "TryStatement": {
      const first = valuesOf(node.block, found);
      return (node.handler ? valuesOf(node.handler.body, found) : false) || first;
    }
    case "SwitchStatement": {
      const shown = node.cases.map((each) => {
        const end = each.consequent.findIndex(({ type }) => type === "BreakStatement");
        return valuesOfLast(end < 0 ? each.consequent : each.consequent.slice(0, end), found);
      });
      return shown.includes(true);
    }
    case "LabeledStatement":
    case "WithStatement":
      return valuesOf(node.body, found);
    default:
      return false;
  }
}

function mark(cell: Draft, { start, end }: Found[number], compiles: boolean): void {
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
