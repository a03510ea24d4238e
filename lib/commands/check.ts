// `slimlab check`: a student's own notebook, run here, and what its checks say.
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { checkResultsIn } from "../classroom/own-checks.ts";
import { caseIn, languageOf, sayIn, textsFor } from "../classroom/speech.ts";
import { readNotebook } from "../notebook/notebook.ts";
import { run as runNotebook } from "../notebook/run.ts";
import { checkNumber } from "../util/check.ts";

const help = `Usage: slimlab check [OPTION]... NOTEBOOK...

Runs notebooks of your own, past errors, and says which exercises are solved: what was expected, what your code gave, and
what to read again. Ends with 0 if all are solved.

  --timeout S  seconds that a cell may take (default: 600)`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" }, timeout: { type: "string", default: "600" } },
  });
  if (values.help || positionals.length === 0) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const timeout = checkNumber("--timeout", Number(values.timeout), 0);
  let all = true;
  for (const path of positionals) {
    const source = await readNotebook(path);
    const { notebook, report } = await runNotebook(source, {
      name: path,
      timeout,
      allowErrors: true,
      kernel: { cwd: dirname(resolve(path)) },
    });
    if (report.status === "invalid") throw new Error(report.failure!.message);
    const { results, missing } = await checkResultsIn(notebook);
    const texts = textsFor(languageOf(source), dirname(resolve(path)));
    const say = (text: string) => sayIn(texts, text);
    const solved = results.filter(({ passed }) => passed).length;
    console.log(`${path}: ${say(`${solved} of ${results.length + missing.length} solved`)}`);
    for (const { name, passed, cases, read } of results) {
      console.log(`  ${passed ? "✓" : "✗"} ${name}`);
      for (const english of cases) {
        const one = texts ? caseIn(english, texts) : english;
        if (!one.passed)
          console.log(
            `      ${[one.name, one.message].filter(Boolean).join(": ").replaceAll("\n", "\n      ")}`,
          );
      }
      if (read) console.log(`      ${say(`read again: ${read}`)}`);
    }
    for (const { name, reason } of missing) console.log(`  ✗ ${name}\n      ${say(reason)}`);
    for (const { cell, name, message } of report.failures ?? []) {
      console.log(`  ${say(`cell ${cell} failed: ${[name, message].filter(Boolean).join(": ")}`)}`);
    }
    all &&= missing.length === 0 && solved === results.length;
  }
  return all ? 0 : 1;
}
