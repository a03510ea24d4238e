// Runs notebooks before the eyes of someone at a terminal: a bar, a line for each that ends, and Ctrl-C keeps what is done.
import { untilInterrupted } from "../util/interrupt.ts";
import { progress } from "../util/progress.ts";
import type { Chapter } from "./notebook.ts";
import { describe, type RunReport } from "./report.ts";
import { type RunFilesOptions, runNotebooks } from "./runner.ts";

/** Runs notebooks with a progress bar, and says how each went. */
export function runWithProgress(chapters: Chapter[], options: RunFilesOptions): Promise<RunReport> {
  return untilInterrupted(async (signal) => {
    let bar: ReturnType<typeof progress> | undefined;
    const clear = () => process.stderr.isTTY && process.stderr.write("\r\x1b[K");
    try {
      return await runNotebooks(chapters, {
        ...options,
        signal,
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
      if (signal.aborted) process.exitCode = 130;
    }
  });
}
