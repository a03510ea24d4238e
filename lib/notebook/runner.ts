// Runs notebooks of files, several at once: results go to copies and run.json; the notebooks themselves are never written.
import { readFile, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { KernelClient, StartOptions } from "../kernel/client.ts";
import { textsOf, translateOutputs } from "../texts/index.ts";
import { checkInteger, checkNumber } from "../util/check.ts";
import { writeFileAtomic } from "../util/files.ts";
import { slimlabVersion } from "../util/version.ts";
import { type Chapter, type Notebook, readNotebook, textOf, titleOf } from "./notebook.ts";
import type { CellsReport, ChapterReport, RunReport } from "./report.ts";
import { codeCells, invalidReport, rounded, run } from "./run.ts";

/** Options of {@link runNotebooks}. */
export interface RunFilesOptions {
  /** Folder of the executed copies and of run.json. */
  output: string;
  /** Seconds that a cell may take; 0 sets no limit. Default 600. */
  timeout?: number;
  /** How many notebooks run at once. Default: the cores there are. */
  jobs?: number;
  /** Goes on after a cell that fails. */
  allowErrors?: boolean;
  /** Forgets what an earlier run reported of other notebooks. */
  fresh?: boolean;
  /** How kernels are started, where not as the slimlab kernel in the notebook's folder. */
  kernel?: StartOptions;
  /** Which backend runs, for the report; may be found out while the notebooks run. */
  backend?: Promise<string>;
  /** Ends the run: kernels are stopped, what is done is kept. */
  signal?: AbortSignal;
  /** Called as cells end: how many of all cells are done, and which was the last. */
  onProgress?: (done: number, total: number, note: string) => void;
  /** Called, and waited for, when a notebook has run to its end, while its kernel is still there. */
  whileOpen?: (chapter: Chapter, kernel: KernelClient) => Promise<void>;
  /** Called as each notebook ends. */
  onChapter?: (report: ChapterReport) => void;
}

/** Where a notebook's copy lies within the folder of copies. */
export function copyName(chapter: Chapter): string {
  return `${chapter.language === "en" ? "" : `${chapter.language}/`}${chapter.slug}.ipynb`;
}

/**
 * Runs notebooks, several at once, and writes their copies and run.json. A notebook that fails, never ends or kills its
 * process is reported, and the others run all the same.
 */
export async function runNotebooks(chapters: Chapter[], options: RunFilesOptions): Promise<RunReport> {
  checkNumber("timeout", options.timeout ?? 600, 0);
  const jobs = checkInteger("jobs", options.jobs ?? availableParallelism(), 1, 64);
  const names = new Map<string, string>();
  for (const chapter of chapters) {
    const target = resolve(options.output, copyName(chapter));
    if (target === resolve(chapter.path)) {
      throw new Error(`the copy of ${chapter.path} would overwrite it: choose another --output`);
    }
    const other = names.get(target);
    if (other) throw new Error(`${other} and ${chapter.path} have one name: run them apart`);
    names.set(target, chapter.path);
  }

  const started = new Date();
  const reports: ChapterReport[] = new Array(chapters.length);
  const loaded = await Promise.all(
    chapters.map((chapter) =>
      readNotebook(chapter.path).then(
        (notebook) => notebook,
        (error: Error) => error,
      ),
    ),
  );
  const originals = originalsOf(chapters, loaded);
  const total = loaded.reduce(
    (sum, notebook, index) =>
      sum + (notebook instanceof Error || originals.has(index) ? 0 : codeCells(notebook).length),
    0,
  );
  let done = 0;
  const earlier = await earlierReports(options.output);
  // The longest by the last run's account start first, so that none of them is left over at the end.
  const seconds = new Map(earlier.map((report) => [report.notebook, report.seconds]));
  const expected = (index: number) => seconds.get(copyName(chapters[index])) ?? Number.MAX_VALUE;
  const queue = [...chapters.keys()]
    .filter((index) => !originals.has(index))
    .sort((a, b) => expected(b) - expected(a) || a - b);
  const workers = Math.min(jobs, queue.length);
  const worker = async () => {
    while (queue.length > 0 && !options.signal?.aborted) {
      const index = queue.shift()!;
      const chapter = chapters[index];
      let attempted = 0;
      const { report, notebook } = await runChapter(chapter, loaded[index], options, (cell, cells) => {
        attempted++;
        options.onProgress?.(++done, total, `${chapter.slug}, cell ${cell} of ${cells}`);
      });
      if (options.signal?.aborted) return; // not run to its end, through no fault of its own
      done += report.cells - attempted; // cells that will not run
      reports[index] = report;
      options.onChapter?.(report);
      for (const [edition, original] of originals) {
        if (original !== index) continue;
        reports[edition] = await takeOver(
          chapters[edition],
          loaded[edition] as Notebook,
          report,
          notebook,
          options,
        );
        options.onChapter?.(reports[edition]);
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));

  const report: RunReport = {
    slimlab: slimlabVersion,
    node: process.versions.node,
    ...(options.backend && { backend: await options.backend }),
    started: started.toISOString(),
    seconds: rounded((Date.now() - started.getTime()) / 1000),
    chapters: reports.filter(Boolean),
  };
  const ran = new Set(report.chapters.map((chapter) => chapter.notebook));
  const kept = options.fresh ? [] : earlier.filter((chapter) => !ran.has(chapter.notebook));
  await writeFileAtomic(
    join(options.output, "run.json"),
    `${JSON.stringify({ ...report, chapters: [...report.chapters, ...kept] }, null, 2)}\n`,
  );
  return report;
}

/** What run.json says of notebooks that are not run again now. */
async function earlierReports(output: string): Promise<ChapterReport[]> {
  try {
    const { chapters } = JSON.parse(await readFile(join(output, "run.json"), "utf8")) as RunReport;
    return Array.isArray(chapters) ? chapters : [];
  } catch {
    return []; // None yet, or damaged: written anew.
  }
}

async function runChapter(
  chapter: Chapter,
  source: Notebook | Error,
  options: RunFilesOptions,
  onCell: (cell: number, cells: number) => void,
): Promise<{ report: ChapterReport; notebook?: Notebook }> {
  const head = { notebook: copyName(chapter), language: chapter.language };
  const invalid = async (report: CellsReport, title: string): Promise<{ report: ChapterReport }> => {
    // Results of an earlier state of it would pass for this one's.
    await rm(join(options.output, copyName(chapter)), { force: true });
    return { report: { ...head, title, ...report } };
  };
  if (source instanceof Error) return invalid(invalidReport(source.message), chapter.slug);
  const { notebook, report } = await run(source, {
    name: chapter.path,
    timeout: options.timeout,
    allowErrors: options.allowErrors,
    kernel: {
      cwd: dirname(resolve(chapter.path)),
      ...options.kernel,
      // As Jupyter's server says it: the kernel speaks the notebook's language.
      env: { JPY_SESSION_NAME: resolve(chapter.path), ...options.kernel?.env },
    },
    signal: options.signal,
    onCell: ({ executed }, cells) => onCell(executed + 1, cells),
    whileOpen: async (kernel) => options.whileOpen?.(chapter, kernel),
  });
  const title = titleOf(notebook, chapter.slug);
  if (report.status === "invalid") return invalid(report, report.cells > 0 ? title : chapter.slug);
  await writeCopy(chapter, notebook, options);
  return { report: { ...head, title, ...report }, notebook };
}

function writeCopy(chapter: Chapter, notebook: Notebook, options: RunFilesOptions): Promise<void> {
  return writeFileAtomic(join(options.output, copyName(chapter)), `${JSON.stringify(notebook, null, 1)}\n`);
}

/**
 * The notebooks of this run that need not run, because their English edition runs and has the same code, cell by cell:
 * each with the place of that edition.
 */
function originalsOf(chapters: Chapter[], loaded: (Notebook | Error)[]): Map<number, number> {
  const code = loaded.map((notebook) =>
    notebook instanceof Error
      ? undefined
      : JSON.stringify([
          notebook.metadata.kernelspec?.name,
          ...notebook.cells.map(({ cell_type, id, metadata, source }) =>
            cell_type === "code" ? [id, metadata.tags ?? [], textOf(source)] : cell_type,
          ),
        ]),
  );
  const found = new Map<number, number>();
  for (const [index, { slug, language }] of chapters.entries()) {
    if (language === "en" || code[index] === undefined) continue;
    const original = chapters.findIndex((other) => other.language === "en" && other.slug === slug);
    if (original >= 0 && code[original] === code[index]) found.set(index, original);
  }
  return found;
}

/** Gives an edition the results of the one that ran, in its own language, and reports it like that one. */
async function takeOver(
  chapter: Chapter,
  source: Notebook,
  original: ChapterReport,
  executed: Notebook | undefined,
  options: RunFilesOptions,
): Promise<ChapterReport> {
  if (executed) {
    const notebook = structuredClone(source);
    const texts = textsOf({ language: chapter.language, folder: dirname(resolve(chapter.path)) });
    for (const [i, cell] of notebook.cells.entries()) {
      if (cell.cell_type !== "code") continue;
      const outputs = executed.cells[i].outputs ?? [];
      cell.outputs = texts ? translateOutputs(outputs, texts) : outputs;
      cell.execution_count = executed.cells[i].execution_count;
    }
    notebook.metadata.language_info = executed.metadata.language_info;
    await writeCopy(chapter, notebook, options);
  }
  return {
    ...original,
    notebook: copyName(chapter),
    language: chapter.language,
    title: titleOf(source, chapter.slug),
    resultsOf: original.notebook,
  };
}
