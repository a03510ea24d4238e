// TypeScript's problems as a cell's: which are none in a notebook, what they say, and what to do about them.
import type { CellCode } from "../cell/code.ts";
import { asSentence, hintForLine, hintForName, insteadOfPythons } from "../cell/hints.ts";
import { jsxHint } from "../cell/jsx.ts";
import { clean, offsetIn, type Range } from "./text.ts";

/** A problem in a cell. Lines and columns count from 1, columns in UTF-16 units. */
export interface Diagnostic {
  line: number;
  column: number;
  endLine: number;
  endColumn: number;
  /** TypeScript's error number; 0 when the cell could not be checked. */
  code: number;
  message: string;
  severity: "error" | "warning";
}

/** A problem as the server tells of it. */
export interface ServerDiagnostic {
  range: Range;
  severity?: number;
  code?: number | string;
  message: string;
  relatedInformation?: { message: string }[];
}

/** Errors and warnings; the prelude's line is line 0, so the server's count from 0 is the cell's from 1. */
export function diagnosticsOf(items: ServerDiagnostic[]): Diagnostic[] {
  return items
    .filter((each) => (each.severity ?? 1) <= 2)
    .map((each) => ({
      line: each.range.start.line,
      column: each.range.start.character + 1,
      endLine: each.range.end.line,
      endColumn: each.range.end.character + 1,
      code: Number(each.code ?? 0),
      message: [each.message, ...hintsOf(each.relatedInformation)].join(" "),
      severity: each.severity === 2 ? ("warning" as const) : ("error" as const),
    }));
}

/** Errors that make sense in a module and not in a cell. */
const meaningless = new Set([
  1202, // import x = require(): runs
  1203, // export = x: shows x
  2528, // two export default
  2695, // the comma operator's left side: a cell may be written like that to look at values
  6133, // declared and not used: a later cell will
  6192,
  6196,
  6198,
  7016, // a JavaScript package without types: any
  7026, // a JSX element of a package without types: any
  7028, // unused label
]);

export function isError({ severity }: Diagnostic): boolean {
  return severity === "error";
}

/** Whether a problem is one in a notebook too. */
export function isMeant(
  { code, line, column, message }: Diagnostic,
  source: string,
  cell: CellCode,
  carried: string[],
  isGlobal: (name: string) => boolean,
): boolean {
  if (meaningless.has(code)) return false;
  // "Variable 'losses' implicitly has an 'any[]' type": a list that is filled in later cells.
  if ((code === 7005 || code === 7034) && carried.includes(/'([^']+)'/.exec(message)?.[1] ?? ""))
    return false;
  const at = offsetIn(source, line, column);
  // `this` is the global object in a cell, as in a script, and undefined in a module.
  if ((code === 2532 || code === 18048) && /^this\b/.test(source.slice(at, at + 5))) return false;
  // `globalThis.x` of a cell's `var x`, which is a property of the global object as in a script.
  if (code === 7017 || code === 2339) {
    const name = /^[\p{ID_Continue}$]+/u.exec(source.slice(at))?.[0];
    if (name && isGlobal(name) && /\b(globalThis|global|this)\s*\??\.\s*$/.test(source.slice(0, at)))
      return false;
  }
  // A module that has no types may be given them by a cell: see `heed`.
  if ((code === 2664 || code === 2665) && cell.isAmbient) return false;
  return true;
}

/** "Cannot find name 'x'", in its several forms. */
export function isUnknownName({ code }: Diagnostic): boolean {
  return code === 2304 || code === 2552 || code === 2503 || code === 2663 || code === 2662;
}

/** Whether a place is in code that runs when it is called. */
export function isDeferred({ line, column }: Diagnostic, source: string, cell: CellCode): boolean {
  const at = offsetIn(source, line, column);
  return cell.deferred.some(([start, end]) => start <= at && at < end);
}

export function unchecked(error: unknown): Diagnostic {
  const message = `Types were not checked: ${(error as Error).message}`;
  return { line: 1, column: 1, endLine: 1, endColumn: 1, code: 0, message, severity: "warning" };
}

/** The message in a notebook's terms, with what to do where that is known. */
export function cleaned(
  diagnostic: Diagnostic,
  source: string,
  isEarlier: (name: string) => boolean,
): Diagnostic {
  let message = clean(diagnostic.message);
  const { code, line, column } = diagnostic;
  const name = /'([^']+)'/.exec(message)?.[1] ?? "";
  const text = source.split("\n")[line - 1] ?? "";
  // `!ls -la` is arithmetic to TypeScript.
  if ((code === 2362 || code === 2363) && /^\s*!\s*\w+\s+-/.test(text))
    message += ` ${asSentence(hintForLine(text)!)}`;
  if (code === 2304 || code === 2584 || code === 2582 || code === 2580) {
    const isAssigned =
      text.slice(0, column - 1).trim() === "" && /^\s*=[^=]/.test(text.slice(column - 1 + name.length));
    const hint =
      (text.trim().startsWith("!") || /^\s*[a-z]+\s+-{1,2}\w/.test(text) ? hintForLine(text) : undefined) ??
      hintForName(name) ??
      (isAssigned ? `a new variable is declared: let ${name} = …` : undefined);
    // TypeScript's own hint would have the reader change a setting that brings the types and not the thing.
    if (hint) message = `${message.replace(/'\. .*$/s, "'.")} ${asSentence(hint)}`;
    else if (code === 2304) message += " Has the cell that declares it been run?";
  }
  const pythons = code === 2304 || code === 2552 ? insteadOfPythons(name) : undefined;
  if (pythons) message += ` ${pythons}`;
  if (code === 2448 && isEarlier(name))
    message += ` An earlier cell's ${name} is out of reach where the cell declares ${name} anew: leave out let or const, or take another name.`;
  const module =
    code === 2307 || code === 2882 ? /'((?:@[^/']+\/)?[^./'][^/']*)[^']*'/.exec(message)?.[1] : undefined;
  if (module && !module.includes(":")) message += ` Is it installed? "npm install ${module}" does it.`;
  if (code === 2874 || code === 2875) message = `${message.replace(/ Make sure .*$/s, "")} ${jsxHint}.`;
  if (
    /(to|of) (parameter of )?type 'never'\.?$/.test(message.split("\n")[0]) &&
    (code === 2345 || code === 2322)
  )
    message += " An empty list in an object is given its type where it is written: [] as number[].";
  if (code === 2339 && message.endsWith("on type '{}'."))
    message +=
      " An object that gets its properties later is given a type: const counts: Record<string, number> = {}.";
  const older = betweenNames.has(code) ? nameGivenTwice(message) : undefined;
  if (older && isEarlier(older))
    message += ` ${older} has been declared anew, and one of the two is what it was before: run again the cells that use it.`;
  if (ofStrictness.has(code))
    message += " (A cell that begins with // @ts-strict false switches strictness off.)";
  return { ...diagnostic, message };
}

/** Errors that a value is not of a type. */
const betweenNames = new Set([2322, 2345, 2739, 2740, 2741]);
const twice =
  /[Tt]ype '([\p{ID_Start}$_][\p{ID_Continue}$]*)(?:<[^']*>|\.\w+|\[\])?'.* type '\1(?:<[^']*>|\[\])?'/u;

/** The name of two types that a line of the message tells apart: one name that was declared twice. */
function nameGivenTwice(message: string): string | undefined {
  for (const line of message.split("\n")) {
    const name = twice.exec(line)?.[1];
    if (name) return name;
  }
  return undefined;
}

/** Errors that only strict checking finds. */
const ofStrictness = new Set([
  2531, 2532, 2533, 2564, 7005, 7006, 7008, 7009, 7010, 7011, 7015, 7016, 7017, 7018, 7019, 7022, 7023, 7024,
  7031, 7032, 7033, 7034, 7041, 7053, 18046, 18047, 18048, 18049,
]);

/** Of what TypeScript says beside an error, what tells the reader to do something: the rest says where things stand. */
function hintsOf(related: { message: string }[] | undefined): string[] {
  const hints = (related ?? [])
    .map(({ message }) => message)
    .filter((text) => /\?$|^(Did you|Try|Consider|An? .* needs)/.test(text));
  return [...new Set(hints)];
}
