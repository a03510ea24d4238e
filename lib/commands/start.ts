// `npm start`: all chapters run on this machine, and the book is made of them.
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { howToOpen, makeBook, troublesOf } from "../book/make.ts";
import { defaultNotebooks, findChapters } from "../notebook/notebook.ts";
import { runWithProgress } from "../notebook/terminal.ts";

const help = `Usage: slimlab start [OPTION]...

Runs all chapters and builds the book. Ends with 1 if a chapter failed; the book then shows where.

  --notebooks DIR  the notebooks (default: notebooks)
  --output DIR     where the book goes (default: book)
  --timeout S      seconds that a cell may take (default: 600)
  --jobs N         chapters at a time (default: the cores there are)`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: "boolean", short: "h" },
      notebooks: { type: "string", default: defaultNotebooks() },
      output: { type: "string", default: "book" },
      timeout: { type: "string", default: "600" },
      jobs: { type: "string" },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const executed = join(".slimlab", "run");
  const chapters = await findChapters(values.notebooks);
  if (chapters.length === 0) throw new Error(`there are no notebooks in ${values.notebooks}`);
  // The kernels start at once; which backend they will choose is found out beside them, by choosing it here too.
  const backend = import("../nn/index.ts").then(async (nn) => {
    await nn.useBackend();
    const line = nn.describeBackend();
    console.log(`${line.charAt(0).toUpperCase()}${line.slice(1)}`);
    return line.replace(/^backend: /, "");
  });
  backend.catch(() => {}); // Said below, once the chapters have said what they could not do.
  const report = await runWithProgress(chapters, {
    output: executed,
    fresh: true,
    timeout: Number(values.timeout),
    ...(values.jobs !== undefined && { jobs: Number(values.jobs) }),
    backend,
  });
  if (report.chapters.length < chapters.length) return 130; // interrupted: no book of half a run
  const book = await makeBook(values.notebooks, executed, values.output);
  for (const trouble of troublesOf(book)) console.error(trouble);
  const ran = report.chapters.filter(({ resultsOf }) => !resultsOf);
  const failed = ran.filter(({ status }) => status !== "ok");
  const editions = report.chapters.length - ran.length;
  console.log(
    `\n${ran.length} ${ran.length === 1 ? "chapter" : "chapters"}${editions > 0 ? ` (${editions} in Chinese too)` : ""} in ${report.seconds.toFixed(1)} s${failed.length > 0 ? `, ${failed.length} failed` : ""}; the report: ${join(relative(process.cwd(), values.output) || values.output, "run.json")}`,
  );
  console.log(howToOpen(book));
  return failed.length > 0 ? 1 : 0;
}
