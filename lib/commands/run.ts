// `slimlab run`: notebooks from the shell.
import { statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Chapter, chapterOf, findChapters } from "../notebook/notebook.ts";
import type { ChapterReport, RunReport } from "../notebook/report.ts";
import { type RunOptions, runNotebooks } from "../notebook/runner.ts";
import { progress } from "../util/progress.ts";
import { defaultNotebooks } from "./book.ts";

const help = `Usage: slimlab run [OPTION]... [NOTEBOOK|FOLDER]...

Runs notebooks from top to bottom in fresh kernels, several at once. Results go to copies; the notebooks stay as they
are. Without a name, runs all of notebooks/. Ends with 1 if any notebook failed.

  --output DIR     where the copies and run.json go (default: .slimlab/run)
  --timeout S      seconds that a cell may take before it is interrupted, 0 for no limit (default: 600)
  --jobs N         notebooks at a time (default: the cores there are)
  --allow-errors   go on after a cell that fails, and do not count it as a failure

A cell tagged skip-execution is left out; one tagged raises-exception may fail.`;

/** Runs notebooks with a progress bar, and says how each went. */
export async function runWithProgress(chapters: Chapter[], options: RunOptions): Promise<RunReport> {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  let bar: ReturnType<typeof progress> | undefined;
  const clear = () => process.stderr.isTTY && process.stderr.write("\r\x1b[K");
  try {
    return await runNotebooks(chapters, {
      ...options,
      signal: interrupt.signal,
      onProgress: (done, total, note) => {
        bar ??= progress("running", total);
        bar.update(done, note);
      },
      onChapter: (report) => {
        clear();
        console.log(describe(report));
      },
    });
  } finally {
    bar?.end();
    process.removeListener("SIGINT", onSignal);
    process.removeListener("SIGTERM", onSignal);
    if (interrupt.signal.aborted) process.exitCode = 130;
  }
}

/** A notebook's result for the terminal: one line, and for a failure where and why. */
export function describe(report: ChapterReport): string {
  const { status, notebook, seconds, executed, cells, failure, resultsOf } = report;
  if (resultsOf) return `${status.padEnd(7)} ${notebook}  has the code and the results of ${resultsOf}`;
  if (status === "ok") return `ok      ${notebook}  ${seconds.toFixed(1)} s, ${cells} cells`;
  const place = failure?.cell ? `, cell ${failure.cell}${failure.line ? `, line ${failure.line}` : ""}` : "";
  const what = [failure?.name, failure?.message].filter(Boolean).join(": ");
  const lines = [`${status.padEnd(7)} ${notebook}${place}: ${what}`];
  if (status !== "invalid") lines[0] += ` (${executed} of ${cells} cells ran, ${seconds.toFixed(1)} s)`;
  for (const line of failure?.traceback.join("\n").split("\n") ?? []) if (line) lines.push(`        ${line}`);
  return lines.join("\n");
}

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
