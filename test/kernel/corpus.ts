// Other people's programs, run as they are and as cells: `node dist/test/kernel/corpus.js [FOLDER]` counts by kind how they
// differ. Without a folder it takes npm's test262-parser-tests; larger ones (test262's test/language, Babel's and
// TypeScript's fixtures) are named. Known kinds have a reason; a new one is a fault of the transform's, or a new reason.
import { type Dirent, existsSync, readdirSync, readFileSync } from "node:fs";
import { Session } from "node:inspector";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { CellSyntaxError, transformCell } from "../../lib/kernel/cell/transform.ts";
import {
  constantName,
  functionsName,
  importFunction,
  liveName,
  metaName,
} from "../../lib/kernel/cell/words.ts";
import { goName } from "../../lib/util/turn.ts";

/** How a program ended: a value, an error's name, or not at all. */
interface Outcome {
  ends: "value" | "error" | "SyntaxError" | "never";
  /** The value's kind and text, or the error's name. */
  text: string;
}

export interface Difference {
  file: string;
  source: string;
  kind: string;
  asItIs: Outcome;
  asCell: Outcome;
}

/** Differences that are meant, or that no transform can help, each with why. */
export const knownKinds: { name: string; reason: string; fits(difference: Difference): boolean }[] = [
  {
    name: "redeclared",
    reason: "cells may declare a name anew, whatever it was before, so V8 is asked less strictly",
    fits: ({ asItIs, asCell }) =>
      asItIs.text.includes("already been declared") || asCell.text.includes("already been declared"),
  },
  {
    name: "await is a word of its own",
    reason: "a cell may wait at its top level, so `await` is no name there, in scripts it is one",
    fits: ({ source, asItIs }) => /\bawait\b|\\u00?\{?61/.test(source) && asItIs.ends !== "SyntaxError",
  },
  {
    name: "await and imports at the top level",
    reason: "a cell may wait, import and export at its top level, a script may not",
    fits: ({ source, asItIs }) => asItIs.ends === "SyntaxError" && /\b(await|import|export)\b/.test(source),
  },
  {
    name: "newer than this Node",
    reason: "what the running V8 cannot read (`using`, decorators) is compiled for it in cells",
    fits: ({ source, asItIs }) => asItIs.ends === "SyntaxError" && /\busing\b|@|\baccessor\b/.test(source),
  },
  {
    name: "an object on its own",
    reason: "a cell that is one object literal is read as one, a script as a block",
    fits: ({ source }) => /^(\s|\/\*[\s\S]*?\*\/|\/\/[^\n]*\n)*\{/.test(source),
  },
  {
    name: "properties of the global object",
    reason:
      "a cell's `var`s and functions can be declared anew as anything, so they are no properties of `this`",
    fits: ({ source, asCell }) => asCell.ends === "error" && /\b(this|globalThis|delete)\b/.test(source),
  },
  {
    name: "a for-in loop's first value",
    reason:
      "`for (var x = 0 in o)` is read by scripts for the sake of old pages; a cell's `var`s are assignments",
    fits: ({ source, asItIs, asCell }) =>
      asCell.ends === "SyntaxError" &&
      asItIs.ends !== "SyntaxError" &&
      /\(\s*var\s[^;)]*=[^;)]*\bin\b/.test(source),
  },
  {
    name: "HTML's comments",
    reason: "`<!--` and `-->` are comments in scripts only; a cell is read as a module is",
    fits: ({ source }) => /<!--|-->/.test(source),
  },
];

/** How long a program may run, and be waited for, in milliseconds. */
interface Patience {
  timeout: number;
  wait: number;
}
/** Nearly all programs end at once. Where one way of running it seems to go on and the other does not, both have longer. */
const [brief, long]: Patience[] = [
  { timeout: 50, wait: 100 },
  { timeout: 300, wait: 500 },
];

const require = createRequire(import.meta.url);

/** The package's folders: programs that parse. */
function packagePrograms(): string[] {
  return [join(dirname(require.resolve("test262-parser-tests/package.json")), "pass")];
}

class Bench {
  readonly #session = new Session();
  readonly #contexts: number[] = [];

  /** What a program leaves behind, promises that fail and callbacks that throw, is not what it ends with. */
  readonly #ignore = () => {};

  constructor() {
    process.on("unhandledRejection", this.#ignore);
    this.#session.connect();
    this.#session.on("Runtime.executionContextCreated", ({ params }) => {
      this.#contexts.push(params.context.id);
    });
    this.#session.post("Runtime.enable");
  }

  /** Evaluates code in a realm of its own. */
  async run(code: string, replMode: boolean, { timeout, wait }: Patience): Promise<Outcome> {
    const sandbox: Record<string, unknown> = Object.create(null);
    const context = vm.createContext(sandbox);
    if (replMode) provide(context);
    const contextId = this.#contexts.at(-1);
    const reply = await new Promise<Reply>((resolve) => {
      // What waits for what never comes is over after a while.
      const timer = setTimeout(() => resolve({ ends: "never" }), wait);
      const options = {
        expression: code,
        contextId,
        replMode,
        awaitPromise: replMode,
        timeout,
        silent: true,
      };
      this.#session.post("Runtime.evaluate", options, (error, value) => {
        clearTimeout(timer);
        resolve(error ? { ends: "never" } : (value as unknown as Reply));
      });
    });
    this.#session.post("Runtime.discardConsoleEntries");
    return outcomeOf(reply);
  }

  close(): void {
    process.off("unhandledRejection", this.#ignore);
    this.#session.disconnect();
  }
}

interface Reply {
  ends?: "never";
  result?: {
    type: string;
    subtype?: string;
    value?: unknown;
    unserializableValue?: string;
    className?: string;
  };
  exceptionDetails?: { text: string; exception?: { className?: string; description?: string } };
}

function outcomeOf({ ends, result, exceptionDetails }: Reply): Outcome {
  if (ends || !result) return { ends: "never", text: "" };
  if (exceptionDetails) {
    const { className = "a value", description = "" } = exceptionDetails.exception ?? {};
    const text = className === "SyntaxError" ? (description.split("\n")[0] ?? "") : className;
    return { ends: className === "SyntaxError" ? "SyntaxError" : "error", text };
  }
  const { type, subtype = "", value, unserializableValue, className = "" } = result;
  return {
    ends: "value",
    text: [type, subtype, className, unserializableValue ?? JSON.stringify(value)].join(" "),
  };
}

/** What the kernel gives its cells. */
function provide(context: vm.Context): void {
  const define = (name: string, value: unknown) =>
    Object.defineProperty(context, name, { value, configurable: true, enumerable: false, writable: true });
  define(goName, (value: unknown) => value);
  define(functionsName, () => {});
  define(importFunction, async () => ({}));
  define(metaName, { module: { exports: {} } });
  define(liveName, {});
  const refuse = `new Proxy({}, { set() { throw new TypeError("Assignment to constant variable.") } })`;
  define(constantName, vm.runInContext(refuse, context));
}

async function asCell(
  bench: Bench,
  source: string,
  patience: Patience,
): Promise<{ outcome: Outcome; showsResult: boolean }> {
  try {
    const { code, showsResult } = await transformCell(source, { name: "program", javascript: true });
    return { outcome: await bench.run(code, true, patience), showsResult };
  } catch (error) {
    if (!(error instanceof CellSyntaxError)) throw error;
    return { outcome: { ends: "SyntaxError", text: `SyntaxError: ${error.message}` }, showsResult: false };
  }
}

/** Runs every program twice; `isModule`: it is run as a cell only, which must be one that V8 takes. */
export async function compare(folders: string[]): Promise<{ programs: number; differences: Difference[] }> {
  const differences: Difference[] = [];
  let programs = 0;
  const bench = new Bench();
  try {
    for (const folder of folders) {
      for (const file of filesIn(folder)) {
        programs++;
        const source = readFileSync(file, "utf8");
        const isModule = /\.m(odule\.)?js$/.test(file);
        const tryFor = async (patience: Patience) => {
          const { outcome, showsResult } = await asCell(bench, source, patience);
          const reference = isModule ? undefined : await bench.run(source, false, patience);
          const differs = reference
            ? !agree(reference, outcome, showsResult)
            : outcome.ends === "SyntaxError";
          return { outcome, reference, differs };
        };
        let tried = await tryFor(brief);
        if (tried.differs && [tried.outcome, tried.reference].some((one) => one?.ends === "never"))
          tried = await tryFor(long);
        const { outcome, reference, differs } = tried;
        if (!differs) continue;
        const asItIs: Outcome = reference ?? { ends: "value", text: "a module" };
        const difference = { file: relative(folder, file), source, asItIs, asCell: outcome, kind: "" };
        const known = knownKinds.find((each) => each.fits(difference));
        difference.kind = known?.name ?? `new: ${outcome.ends} instead of ${asItIs.ends}`;
        differences.push(difference);
      }
    }
  } finally {
    bench.close();
  }
  return { programs, differences };
}

/** Whether both end alike: errors by their name, what cannot be read in whatever words. */
function agree(asItIs: Outcome, asCell: Outcome, showsResult: boolean): boolean {
  if (asItIs.ends !== asCell.ends) return false;
  if (asItIs.ends === "value") return !showsResult || asItIs.text === asCell.text;
  return asItIs.ends !== "error" || asItIs.text === asCell.text;
}

/** Every JavaScript program below a folder, in order. */
function filesIn(folder: string): string[] {
  const entries: Dirent[] = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((each) => each.isFile() && /\.m?js$/.test(each.name))
    .map((each) => join(each.parentPath, each.name))
    .sort();
}

/** How many differences there are of each kind. */
export function counts(differences: Difference[]): Map<string, Difference[]> {
  const kinds = new Map<string, Difference[]>();
  for (const each of differences) kinds.set(each.kind, [...(kinds.get(each.kind) ?? []), each]);
  return kinds;
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  const folders = process.argv.slice(2).filter((each) => existsSync(each));
  const { programs, differences } = await compare(folders.length > 0 ? folders : packagePrograms());
  console.log(`${programs} programs, ${differences.length} differ`);
  for (const [kind, all] of counts(differences)) {
    const reason = knownKinds.find(({ name }) => name === kind)?.reason;
    console.log(`${all.length}\t${kind}${reason ? `: ${reason}` : ""}`);
    for (const { file, source, asItIs, asCell } of reason ? [] : all.slice(0, 20)) {
      console.log(`\t${file}: ${JSON.stringify(source.slice(0, 100))}`);
      console.log(`\t\tas it is ${asItIs.ends} ${asItIs.text}, as a cell ${asCell.ends} ${asCell.text}`);
    }
  }
}

export { packagePrograms };
