// Reading a cell: parsing, errors in a person's words, and whether a console should go on asking for lines.
import { type ParserOptions, type ParserPlugin, parse, parseExpression } from "@babel/parser";
import { CellSyntaxError } from "./code.ts";
import { isRight, withoutData } from "./data.ts";
import { hintForLine } from "./hints.ts";
import { lexicalNames, varNames } from "./scope.ts";
import { type CellTree, declarationOf, type Expression, type Statement } from "./tree.ts";

/** How a cell is to be read. */
export interface SyntaxOptions {
  /** The cell is JavaScript: no types, and sloppy mode as in Node's own REPL. */
  javascript?: boolean;
  /** Decorators as TypeScript had them before the standard's. Default: what the folder's tsconfig.json says. */
  experimentalDecorators?: boolean;
}

/** Decorators before `export` or behind it. (Babel's types do not know its newest versions of the proposal.) */
const decoratorsOptions: object = { version: "2023-11" };

function parserOptions(options: SyntaxOptions, jsx = false): ParserOptions {
  const plugins: ParserPlugin[] = [
    options.experimentalDecorators ? "decorators-legacy" : ["decorators", decoratorsOptions],
    "decoratorAutoAccessors",
    "explicitResourceManagement",
    "importAttributes",
  ];
  if (!options.javascript) plugins.push("typescript");
  if (jsx) plugins.push("jsx");
  return {
    sourceType: "module",
    strictMode: options.javascript ? false : undefined,
    allowUndeclaredExports: true,
    attachComment: false,
    plugins,
  };
}

/**
 * Parses statements. A cell is TypeScript where it can be, so that `<T>x` is a cast; what can be read only as TypeScript
 * with JSX is that.
 */
function program(source: string, options: SyntaxOptions): Omit<CellTree, "bareObject"> {
  try {
    return { ...statements(source, options, false), jsx: false };
  } catch (error) {
    if (!/<[\p{ID_Start}$_>]/u.test(source)) throw error;
    try {
      return { ...statements(source, options, true), jsx: true };
    } catch (jsxError) {
      throw /<\/|\/>/.test(source) ? jsxError : error;
    }
  }
}

/** Parses statements as if the data among them were empty. */
function statements(
  source: string,
  options: SyntaxOptions,
  jsx: boolean,
): Omit<CellTree, "bareObject" | "jsx"> {
  const blanked = withoutData(source);
  if (blanked.ranges.length > 0) {
    try {
      const tree = parsed(blanked.text, options, jsx);
      if (isRight(blanked, tree.body)) return tree;
    } catch {
      // With all of the text, the error is that of the text.
    }
  }
  return parsed(source, options, jsx);
}

/** In JavaScript, functions and `var`s may share a name, as in every script. */
function parsed(source: string, options: SyntaxOptions, jsx: boolean): Omit<CellTree, "bareObject" | "jsx"> {
  type Parsed = {
    program: Omit<CellTree, "bareObject" | "jsx">;
    errors?: (BabelError & { details?: Details })[];
  };
  type Details = { identifierName?: string };
  const settings = parserOptions(options, jsx);
  if (!options.javascript) return (parse(source, settings) as unknown as Parsed).program;
  let all: Parsed;
  try {
    all = parse(source, { ...settings, errorRecovery: true }) as unknown as Parsed;
  } catch {
    // What stops the parser may not be the first that is wrong.
    all = parse(source, settings) as unknown as Parsed;
  }
  const isVar = (name: string | undefined) =>
    all.program.body.every((each) => {
      const node = declarationOf(each);
      if (node.type === "VariableDeclaration" && node.kind === "var") return true;
      return node.type === "FunctionDeclaration" || !lexicalNames([node]).has(name ?? "");
    });
  for (const error of all.errors ?? []) {
    if (error.reasonCode !== "VarRedeclaration" || !isVar(error.details?.identifierName)) throw error;
  }
  return all.program;
}

/** Parses a cell; a cell that is nothing but an object literal is read as one, as in every REPL. */
export function parseCell(source: string, options: SyntaxOptions): CellTree {
  const settings = parserOptions(options);
  let failure: unknown;
  let tree: CellTree | undefined;
  try {
    tree = { ...program(source, options), bareObject: false };
    const [only, ...more] = tree.body;
    const isAlone = more.every(({ type }) => type === "EmptyStatement");
    if (!isAlone || only?.type !== "BlockStatement" || only.body.length === 0) return tree;
  } catch (error) {
    failure = error;
  }
  if (startsWithBrace(source)) {
    const expression = loneExpression(source, settings);
    // (What is no program otherwise may go on behind the object: `{ a: 1 }.a`.)
    if (expression && (!tree || expression.type === "ObjectExpression")) {
      const { start, end } = expression;
      const statement = { type: "ExpressionStatement", expression, start, end } as Statement;
      return { body: [statement], directives: [], bareObject: true, jsx: false };
    }
  }
  if (tree) return tree;
  throw fromBabel(failure, source);
}

/** A source that is one expression, with or without a semicolon. */
function loneExpression(source: string, settings: ParserOptions): Expression | undefined {
  try {
    return parseExpression(source, settings) as Expression;
  } catch (error) {
    const { pos } = error as BabelError;
    const rest = pos === undefined ? "" : source.slice(pos);
    if (!rest.startsWith(";") || !restIsComment(rest.replace(/^;+/, ""))) return undefined;
    return loneExpression(source.slice(0, pos), settings);
  }
}

function startsWithBrace(source: string): boolean {
  return /^(?:\s|\/\/[^\n]*\n|\/\*[\s\S]*?\*\/)*\{/.test(source);
}

interface BabelError {
  message: string;
  loc?: { line: number; column: number };
  reasonCode?: string;
  pos?: number;
}

function fromBabel(error: unknown, source: string): unknown {
  const { message, loc, reasonCode } = error as BabelError;
  if (!loc) return error;
  let text = message.replace(/ \(\d+:\d+\)$/, "");
  const friendly: Record<string, string> = {
    AwaitNotInAsyncContext:
      "await works in an async function or at the cell's top level: make this function async",
    UnterminatedString: "This string has no closing quote",
    UnterminatedTemplate: "This template string has no closing `",
    UnterminatedComment: "This comment has no closing */",
    UnterminatedRegExp: "This regular expression has no closing /",
    IllegalBreakContinue: "break and continue work inside a loop, and break inside a switch",
    InvalidCoverInitializedName: "Properties of an object are written { name: value }",
    IllegalReturn: "return works inside a function only; a cell's last expression is its result",
  };
  if (/requires enabling .* plugin/.test(text)) text = "This syntax is not, or not yet, part of the language";
  else if (reasonCode === "UnexpectedReservedWord" && /'await'/.test(text))
    text = friendly.AwaitNotInAsyncContext;
  else if (reasonCode && friendly[reasonCode]) text = friendly[reasonCode];
  else if (/^Unexpected token/.test(text) && (error as BabelError).pos! >= source.trimEnd().length) {
    text = text.replace("Unexpected token", "The cell ends too early");
  }
  const hint =
    hintForLine(source.split("\n")[loc.line - 1] ?? "") ?? hintForLine(source.trim().split("\n")[0]);
  return new CellSyntaxError(hint ? `${text.replace(/\.$/, "")}. ${hint}` : text, loc.line, loc.column + 1);
}

/**
 * Whether a console may run what has been typed so far: Jupyter's `is_complete_request`.
 * `indent` is what the next line should start with when it goes on.
 */
export function completeness(
  source: string,
  options: SyntaxOptions = {},
): { status: "complete" | "incomplete" | "invalid"; indent?: string } {
  try {
    program(source, options);
    return { status: "complete" };
  } catch (error) {
    const { reasonCode, loc, pos } = error as BabelError;
    const end = source.trimEnd().length;
    const openEnded = reasonCode === "UnterminatedTemplate" || reasonCode === "UnterminatedComment";
    const lastLine = source.split("\n").length;
    const openString = reasonCode === "UnterminatedString" && loc?.line === lastLine;
    if (openEnded || openString || (pos ?? 0) >= end || restIsComment(source.slice(pos))) {
      return { status: "incomplete", indent: nextIndent(source) };
    }
    if (startsWithBrace(source) && loneExpression(source, parserOptions(options)))
      return { status: "complete" };
    return { status: "invalid" };
  }
}

/** The parser stopped at the end of the code, with only comments after it. */
function restIsComment(rest: string): boolean {
  return /^(\s|\/\/[^\n]*(\n|$)|\/\*[\s\S]*?\*\/)*$/.test(rest);
}

function nextIndent(source: string): string {
  const line = source.trimEnd().split("\n").at(-1) ?? "";
  const indent = /^\s*/.exec(line)![0];
  return /[{([]\s*(\/\/.*)?$/.test(line) || /=>\s*$/.test(line) ? `${indent}  ` : indent;
}

/** The names that a cell declares at its top level, and whether it has JSX; undefined where it cannot be parsed. */
export function declaredNames(source: string): { names: Set<string>; jsx: boolean } | undefined {
  try {
    const { body, jsx } = program(source, {});
    const names = lexicalNames(body);
    for (const name of varNames(body)) names.add(name);
    for (const each of body) {
      if (each.type === "ImportDeclaration") for (const { local } of each.specifiers) names.add(local.name);
      const node = declarationOf(each);
      if (node.type === "TSInterfaceDeclaration" || node.type === "TSTypeAliasDeclaration")
        names.add(node.id.name);
    }
    return { names, jsx };
  } catch {
    return undefined;
  }
}
