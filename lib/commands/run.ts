// `slimlab run`: notebooks from the shell.
import { statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Chapter, chapterOf, defaultNotebooks, findChapters } from "../notebook/notebook.ts";
import { runWithProgress } from "../notebook/terminal.ts";

const help = `Usage: slimlab run [OPTION]... [NOTEBOOK|FOLDER]...

Runs notebooks from top to bottom in fresh kernels, several at once. Results go to copies; the notebooks stay as they
are. Without a name, runs all of notebooks/. Ends with 1 if any notebook failed.

  --output DIR     where the copies and run.json go (default: .slimlab/run)
  --timeout S      seconds that a cell may take before it is interrupted, 0 for no limit (default: 600)
  --jobs N         notebooks at a time (default: the cores there are)
  --allow-errors   go on after a cell that fails, and do not count it as a failure

A cell tagged skip-execution is left out; one tagged raises-exception may fail.`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      output: { type: "string", default: join(".slimlab", "run") },
      timeout: { type: "string", default: "600" },
      jobs: { type: "string" },
      "allow-errors": { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const chapters: Chapter[] = [];
  for (const path of positionals.length > 0 ? positionals : [defaultNotebooks()]) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
      chapters.push(...(await findChapters(path)));
    else chapters.push(chapterOf(path));
  }
  if (chapters.length === 0) throw new Error("there are no notebooks to run");
  const report = await runWithProgress(chapters, {
    output: values.output,
    timeout: Number(values.timeout),
    ...(values.jobs !== undefined && { jobs: Number(values.jobs) }),
    allowErrors: values["allow-errors"],
  });
  if (report.chapters.length < chapters.length) return 130; // interrupted
  const bad = report.chapters.filter(
    ({ status }) => status !== "ok" && !(status === "failed" && values["allow-errors"]),
  );
  return bad.length > 0 ? 1 : 0;
}
