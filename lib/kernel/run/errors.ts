// Errors as a person reads them: the message, where in which cell, the lines around, the calls that led there.
import { inspect, isOwnCode, originalPlace } from "#platform";
import { type Segment, segmentAt } from "../cell/edits.ts";
import { codeFrame } from "../cell/frame.ts";
import { hintForName, insteadOfPythons } from "../cell/hints.ts";
import { KeptMap } from "../cell/kept.ts";
import { newerThan } from "../cell/newer.ts";
import { inCellsWords } from "../cell/words.ts";
import type { ErrorContent } from "../protocol/reference.ts";
import { callsIn } from "./frames.ts";

interface CellSource {
  title: string;
  source: string;
  map: KeptMap;
}

/** Every cell that has run, by its name in V8. */
const cells = new Map<string, CellSource>();

/** Makes a cell's places known, before it runs. */
export function rememberCell(name: string, title: string, source: string, mappings: string): void {
  cells.set(name, { title, source, map: new KeptMap(mappings) });
}

/** The cell has run: its places are asked for when an error comes from it, if ever. */
export function packCell(name: string): void {
  cells.get(name)?.map.pack();
}

/** A place in the code that a person wrote; line and column count from 1. */
interface Place {
  file: string;
  line: number;
  column: number;
}

let read: { cell: CellSource; segments: Segment[] } | undefined;

function mapPlace(file: string, line: number, column: number): Place | undefined {
  const cell = cells.get(file);
  if (cell) {
    // Errors are rare and maps are large when they are read: only the last one stays.
    if (read?.cell !== cell) read = { cell, segments: cell.map.segments() };
    const found = segmentAt(read.segments, line - 1, column - 1);
    if (!found) return { file: cell.title, line, column };
    return { file: cell.title, line: found.sourceLine + 1, column: found.sourceColumn + 1 };
  }
  return originalPlace(file, line, column);
}

/** Whether a frame is the kernel's or the machine's own: no help to the person who wrote the cell. */
const isInternal = (file: string) => isOwnCode(file, import.meta.url);

/** Calls of the kernel's and of Node's below a cell's first part. */
const ownDepth = 15;

/** Frames between a cell and what has called it, at most. */
const kernelFrames = 12;

/**
 * Replaces V8's stack traces by ones that name cells, and lines of TypeScript. Everything that reads `stack` gets them, and
 * some packages look for Node's own functions there: only what has called the cell is left out.
 */
export function nameCellsInStacks(): void {
  const own = Object.getOwnPropertyDescriptor(Error.prototype, "stack");
  if (own?.get) {
    // Firefox: what reads `stack` gets there what V8 would say.
    const read = own.get;
    Object.defineProperty(Error.prototype, "stack", {
      ...own,
      get(this: Error) {
        const stack: unknown = read.call(this);
        return typeof stack === "string" ? asV8Says(this, stack) : stack;
      },
    });
    return;
  }
  // V8 counts the kernel's own frames below a cell, which would take the place of the calls that the cell has waited for.
  Error.stackTraceLimit += kernelFrames;
  // A cell's first part runs inside the kernel's own calls, which would fill V8's limit: callers that wait go missing.
  Error.stackTraceLimit += ownDepth;
  Error.prepareStackTrace = (error, sites) => {
    const lines: string[] = [];
    let belowCell = false;
    for (const [index, site] of sites.entries()) {
      const file = site.getFileName() || site.getScriptNameOrSourceURL?.() || "";
      const internal = isInternal(file);
      if (cells.has(file)) {
        belowCell = true;
        if (isCompilers(site, sites[index + 1])) continue;
      } else if (belowCell && internal) continue;
      const text = String(site);
      const line = site.getLineNumber();
      const column = site.getColumnNumber();
      const place =
        file && !internal && line !== null && column !== null ? mapPlace(file, line, column) : undefined;
      if (!place) {
        lines.push(`    at ${text}`);
        continue;
      }
      const where = `${place.file}:${place.line}:${place.column}`;
      // V8's text is `name (file:line:column)`, or the place alone.
      const open = text.lastIndexOf(` (${file}`);
      // (`_a` is the compiler's name for a class that it puts together.)
      const name = open > 0 ? text.slice(0, open).replace(/^((?:async )?)_[a-z]\d*\./, "$1") : "";
      lines.push(
        name && !/^(async )?(eval at )?(<anonymous>|eval)$/.test(name)
          ? `    at ${name} (${where})`
          : `    at ${where}`,
      );
    }
    const limit = typeof Error.stackTraceLimit === "number" ? Error.stackTraceLimit : Infinity;
    return [headOf(error), ...lines.slice(0, Math.max(0, limit - kernelFrames))].join("\n");
  };
}

/** The first line of a stack. */
function headOf(error: Error): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return "Error";
  }
}

/** Another engine's stack in V8's words, with places in cells; V8's own stays as it is. */
function asV8Says(error: Error, stack: string): string {
  const calls = callsIn(stack);
  if (!calls) return stack;
  const lines = calls
    .filter(({ file }) => !isInternal(file))
    .map(({ name, file, line, column }) => {
      const place = mapPlace(file, line, column) ?? { file, line, column };
      const where = `${place.file}:${place.line}:${place.column}`;
      return name ? `    at ${name} (${where})` : `    at ${where}`;
    });
  return [headOf(error), ...lines].join("\n");
}

/** Whether a frame is one of the compiler's helpers, which stand in the cell and are not the person's. */
function isCompilers(site: NodeJS.CallSite, caller: NodeJS.CallSite | undefined): boolean {
  const helper =
    /^__(callDispose|using|decorateElement|decorateClass|runInitializers|typeError|accessCheck|private\w+)$/;
  const isHelper = (each: NodeJS.CallSite | undefined) => helper.test(each?.getFunctionName() ?? "");
  return isHelper(site) || (site.getFunctionName() === "next" && isHelper(caller));
}

/** An error that the kernel itself makes, with its own name and no stack. */
export class KernelError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
    this.stack = "";
  }
  /** What the traceback says, where that is more than the message. */
  note?: string;
}

/** A thrown value as Jupyter's `error` message carries it. `thrownAt`: where, for a value without a stack. */
export function describeError(
  value: unknown,
  thrownAt?: { file: string; line: number; column: number },
): ErrorContent {
  try {
    return describe(value, thrownAt);
  } catch (error) {
    // A getter or a proxy can throw again when it is looked at.
    return {
      ename: "Error",
      evalue: "an error that cannot be shown",
      traceback: [`the error's own code fails: ${safe(error)}`],
    };
  }
}

function safe(value: unknown): string {
  try {
    return inspect(value, { depth: 0 });
  } catch {
    return "?";
  }
}

let lastThrown: { value: unknown; stack: string } | undefined;

/** What cells call with a value that they throw. */
export function noteThrown<T>(value: T): T {
  if (!(value instanceof Error)) lastThrown = { value, stack: String(new Error().stack) };
  return value;
}

const red = (text: string) => `\u001b[31m${text}\u001b[39m`;
const maxFrames = 30;

function describe(value: unknown, thrownAt?: Place): ErrorContent {
  if (!isError(value)) {
    const evalue = inspect(value, { depth: 2, breakLength: 100 });
    const stack = lastThrown && Object.is(lastThrown.value, value) ? lastThrown.stack : "";
    lastThrown = undefined;
    return {
      ename: "Uncaught",
      evalue,
      traceback: [`${red("Uncaught")} ${evalue}`, ...whereFrom(framesOf(stack), thrownAt)],
    };
  }
  const ename = errorName(value);
  const evalue = inCellsWords(String(value.message ?? ""));
  return { ename, evalue, traceback: explain(value, 0, new Set(), thrownAt) };
}

function isError(value: unknown): value is Error & { cause?: unknown; errors?: unknown; note?: unknown } {
  return (
    value instanceof Error ||
    Object.prototype.toString.call(value) === "[object Error]" ||
    (typeof value === "object" && value !== null && "stack" in value && "message" in value)
  );
}

function errorName(error: Error): string {
  const { name } = error;
  const className = (error as { constructor?: { name?: unknown } }).constructor?.name;
  // `class MyError extends Error {}` leaves the name "Error": its class says more.
  if ((name === "Error" || typeof name !== "string" || name === "") && typeof className === "string") {
    return className || "Error";
  }
  return name;
}

function explain(
  error: Error & { cause?: unknown; errors?: unknown; note?: unknown },
  depth: number,
  seen: Set<unknown>,
  thrownAt?: Place,
): string[] {
  seen.add(error);
  const frames = framesOf(asV8Says(error, typeof error.stack === "string" ? error.stack : ""));
  const message = inCellsWords(String(error.message ?? ""));
  const lines = `${red(errorName(error))}${message ? `: ${message}` : ""}`.split("\n");
  if (typeof error.note === "string") lines.push(error.note);
  const unknown = /^([\p{ID_Start}$_][\p{ID_Continue}$]*) is not defined$/u.exec(message)?.[1];
  const hint =
    (unknown && errorName(error) === "ReferenceError"
      ? (hintForName(unknown) ?? insteadOfPythons(unknown))
      : undefined) ?? newerThan(globalThis.process?.versions?.node, message);
  if (hint) lines.push(hint);
  const lacking =
    (error as { code?: unknown }).code === "MODULE_NOT_FOUND" && /'([^'.:/][^':]*)'/.exec(message);
  if (lacking) lines.push(`Is it installed? "npm install ${packageOf(lacking[1])}" does it.`);
  lines.push(...whereFrom(frames, thrownAt), ...propertiesOf(error));
  const indent = (more: string[]) => more.map((line) => `  ${line}`);
  if (Array.isArray(error.errors) && depth < 3) {
    for (const [index, one] of error.errors.slice(0, 5).entries()) {
      if (!seen.has(one)) lines.push(`[errors ${index}]:`, ...indent(explainAny(one, depth + 1, seen)));
    }
    if (error.errors.length > 5) lines.push(`… and ${error.errors.length - 5} more errors`);
  }
  if (error.cause !== undefined && depth < 8) {
    lines.push(
      "caused by:",
      ...(seen.has(error.cause) ? ["  [circular]"] : explainAny(error.cause, depth + 1, seen)),
    );
  }
  return lines;
}

/** The calls of a stack that are not the kernel's own. */
function framesOf(stack: string): string[] {
  return stack
    .split("\n")
    .filter((line) => /^\s+at /.test(line) && !isInternal(line.replace(/^.*(?: at |\()/, "")));
}

/** The place in a cell, with the lines around, and the calls that led there. */
function whereFrom(frames: string[], thrownAt?: Place): string[] {
  const inCell = frames.map(placeOfFrame).find((place) => place !== undefined);
  const place = inCell ?? (thrownAt && mapPlace(thrownAt.file, thrownAt.line, thrownAt.column));
  const lines = place ? placeLines(place) : [];
  if (frames.length > 1 || (frames.length === 1 && !inCell)) {
    const shown = folded(frames);
    lines.push(...shown.slice(0, maxFrames));
    if (shown.length > maxFrames) lines.push(`    … and ${shown.length - maxFrames} more calls`);
  }
  return lines;
}

/** Calls that repeat, as of a function that calls itself for ever, are written once. */
function folded(frames: string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < frames.length; ) {
    const { period, times } = repetition(frames, at);
    lines.push(...frames.slice(at, at + period));
    at += period * times;
    if (times === 1) continue;
    // A stack ends where V8 stops to count, which may be in the middle.
    const isCut = frames.slice(at).every((line, index) => line === frames[at - period + index]);
    if (isCut) return [...lines, "    … and so on"];
    lines.push(`    … and ${period === 1 ? "this call" : `these ${period} calls`} ${times - 1} times more`);
  }
  return lines;
}

/** The shortest group of calls that comes three times and more in a row from a place on. */
function repetition(frames: string[], at: number): { period: number; times: number } {
  for (let period = 1; period <= 6 && at + 3 * period <= frames.length; period++) {
    let same = 0;
    while (at + period + same < frames.length && frames[at + same] === frames[at + period + same]) same++;
    const times = 1 + Math.floor(same / period);
    if (times >= 3) return { period, times };
  }
  return { period: 1, times: 1 };
}

/** What an error carries besides its message, as Node shows it: a file's path, a system's code. */
function propertiesOf(error: Error): string[] {
  const shown = ["name", "message", "stack", "cause", "errors", "note"];
  const own = Object.entries(error).filter(([name]) => !shown.includes(name));
  return own.length > 0 ? inspect(Object.fromEntries(own), { depth: 1, maxArrayLength: 10 }).split("\n") : [];
}

/** The package that a specifier names. */
function packageOf(specifier: string): string {
  return /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
}

function explainAny(value: unknown, depth: number, seen: Set<unknown>): string[] {
  return isError(value) ? explain(value, depth, seen) : inspect(value, { depth: 2 }).split("\n");
}

function placeOfFrame(frame: string): Place | undefined {
  const match = /(Cell \[[\d.]+\]):(\d+):(\d+)\)?$/.exec(frame);
  return match ? { file: match[1], line: Number(match[2]), column: Number(match[3]) } : undefined;
}

function placeLines({ file, line, column }: Place): string[] {
  const lines = [`${file}, line ${line}, column ${column}`];
  const cell = cells.get(file.replace(" ", ""));
  if (cell) lines.push(...codeFrame(cell.source, line, column));
  return lines;
}
