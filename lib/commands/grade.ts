// `slimlab grade`: which exercises readers' notebooks have solved, on the terminal and as JSON.
import { parseArgs } from "node:util";
import { gradeNotebooks } from "../classroom/grade.ts";
import { writeFileAtomic } from "../util/files.ts";

const help = `Usage: slimlab grade [OPTION]... NOTEBOOK...

Runs notebooks, also past errors, and says which exercises (cells that call check of slimlab/classroom) are solved.
Ends with 0 if every exercise of every notebook is. Notebooks are programs: grade those of people you trust, or inside
a sandbox.

  --original NOTEBOOK  the notebook as it was handed out: its checks replace the reader's own
  --timeout S          seconds that a cell may take (default: 600)
  --json FILE          also write the results there`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      original: { type: "string" },
      timeout: { type: "string", default: "600" },
      json: { type: "string" },
    },
  });
  if (values.help || positionals.length === 0) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const grades = await gradeNotebooks(positionals, {
    original: values.original,
    timeout: Number(values.timeout),
  });
  for (const { notebook, solved, exercises, missing } of grades) {
    console.log(`${notebook}: ${solved} of ${exercises.length + missing.length} solved`);
    for (const { name, passed, cases } of exercises) {
      const why = cases.find((one) => !one.passed);
      const reason = why ? `: ${[why.name, why.message.split("\n")[0]].filter(Boolean).join(": ")}` : "";
      console.log(`  ${passed ? "✓" : "✗"} ${name}${reason}`);
    }
    for (const name of missing) console.log(`  ✗ ${name}: no result (its cell failed, or is gone)`);
  }
  if (values.json) await writeFileAtomic(values.json, `${JSON.stringify(grades, null, 2)}\n`);
  return grades.every(
    ({ exercises, missing }) => missing.length === 0 && exercises.every(({ passed }) => passed),
  )
    ? 0
    : 1;
}
