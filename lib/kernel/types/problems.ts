// Type errors as a person reads them: the lines of a traceback.
import { placeInCell } from "../cell/frame.ts";
import type { Diagnostic } from "./diagnostics.ts";

const most = 10;

export function describeProblems(problems: Diagnostic[], source: string, title: string): string[] {
  const lines: string[] = [];
  for (const { line, column, endLine, endColumn, message, code, severity } of problems.slice(0, most)) {
    const name =
      severity === "error" ? "\u001b[31mTypeScriptError\u001b[39m" : "\u001b[33mTypeScriptWarning\u001b[39m";
    lines.push(`${name}: ${message}${code ? ` (TS${code})` : ""}`);
    if (code === 0) continue; // Of the cell as a whole: it could not be checked.
    lines.push(...placeInCell(title, source, line, column, endLine === line ? endColumn - column : 1));
  }
  if (problems.length > most) lines.push(`… and ${problems.length - most} more`);
  return lines;
}
