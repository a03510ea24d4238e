// `slimlab book`: run notebooks in, a static site out.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { howToOpen, makeBook, troublesOf } from "../book/make.ts";
import { serveUntilInterrupted } from "../book/serve.ts";
import { defaultNotebooks } from "../notebook/notebook.ts";
import { checkInteger } from "../util/check.ts";

const help = `Usage: slimlab book [OPTION]...

Builds the book from notebooks that slimlab run has run. A chapter that was not run is shown without results.
HTML that a cell put out goes into the page as it is, but no script in it runs, and HTML that would take the rest of the
page along is not shown. Files that prose links to are taken along from the notebooks' folder only; what was left out is
said.

  --notebooks DIR  the committed notebooks (default: notebooks)
  --from DIR       their executed copies and run.json (default: .slimlab/run)
  --output DIR     where the book goes (default: book)
  --serve [PORT]   show the book on localhost (default port: 8080), building it first where it is missing
`;

export async function run(args: string[]): Promise<number> {
  // --serve may stand alone, which parseArgs knows only for switches: its port is taken out first.
  const rest = [...args];
  const at = rest.findIndex((arg) => arg === "--serve" || arg.startsWith("--serve="));
  let port: number | undefined;
  if (at >= 0) {
    const [flag] = rest.splice(at, 1);
    const given = flag.includes("=")
      ? flag.split("=")[1]
      : /^\d+$/.test(rest[at] ?? "")
        ? rest.splice(at, 1)[0]
        : "8080";
    port = checkInteger("--serve", Number(given), 0, 65535);
  }
  const { values } = parseArgs({
    args: rest,
    options: {
      help: { type: "boolean", short: "h" },
      notebooks: { type: "string", default: defaultNotebooks() },
      from: { type: "string", default: join(".slimlab", "run") },
      output: { type: "string", default: "book" },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const index = join(resolve(values.output), "index.html");
  if (port === undefined || !existsSync(index)) {
    const book = await makeBook(values.notebooks, values.from, values.output);
    for (const trouble of troublesOf(book)) console.error(`slimlab book: ${trouble}`);
    console.log(`Built ${book.pages} pages, ${(book.bytes / 1e6).toFixed(1)} MB. ${howToOpen(book)}`);
  }
  if (port === undefined) return 0;
  await serveUntilInterrupted(values.output, port, (address) =>
    console.log(`The book is at ${address} (Ctrl+C ends)`),
  );
  return 0;
}
