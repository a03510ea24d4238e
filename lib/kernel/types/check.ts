// What becomes of a cell that its types speak against: the same on a machine and on a page.
import type { CellCode } from "../cell/code.ts";
import type { Cell } from "../protocol/host.ts";
import type { ErrorContent } from "../protocol/reference.ts";
import type { Diagnostic } from "./diagnostics.ts";
import type { LanguageService } from "./language.ts";
import { describeProblems } from "./problems.ts";

/** What type errors do: stop the cell before it runs, or show and let it run; or nothing is checked. */
export type CheckMode = "error" | "warning" | "off";

export interface CheckOptions {
  mode: CheckMode;
  language(): Promise<LanguageService>;
  /** Tells of problems that do not stop the cell. */
  warn(text: string): void;
  log(text: string): void;
}

/** Checks a cell that is about to run; what it is refused with, if it is. */
export async function refusalOf(
  { source, title, signal }: Cell,
  code: CellCode,
  options: CheckOptions,
): Promise<ErrorContent | undefined> {
  const { mode, warn } = options;
  if (mode === "off") return undefined;
  const problems = await problemsOf(source, code, options);
  const errors = problems.filter((problem) => problem.severity === "error");
  if (errors.length > 0 && mode === "error") {
    return {
      ename: "TypeScriptError",
      evalue: errors[0].message,
      traceback: describeProblems(errors, source, title),
    };
  }
  if (problems.length > 0 && !signal.aborted)
    warn(`${describeProblems(problems, source, title).join("\n")}\n`);
  return undefined;
}

/** Types that cannot be had cost the checking, not the cell. */
async function problemsOf(
  source: string,
  code: CellCode,
  { language, log }: CheckOptions,
): Promise<Diagnostic[]> {
  try {
    return await (await language()).check(source, code);
  } catch (error) {
    const why = (error as Error).message;
    log(`types could not be checked: ${(error as Error).stack ?? why}`);
    const message = `the cell runs unchecked, for its types cannot be had: ${why}`;
    return [{ line: 1, column: 1, endLine: 1, endColumn: 1, code: 0, message, severity: "warning" }];
  }
}
