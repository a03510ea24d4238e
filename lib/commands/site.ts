// `slimlab site`: the workbook as static files, which run in the reader's browser.
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { serveUntilInterrupted } from "../book/serve.ts";
import { defaultNotebooks } from "../notebook/notebook.ts";
import { writeKernelExtension } from "../site/extension.ts";
import { buildSite } from "../site/index.ts";
import { checkInteger } from "../util/check.ts";
import { untilInterrupted } from "../util/interrupt.ts";

const help = `Usage: slimlab site [DIR] [OPTION]...

Builds a folder of static files: JupyterLite with the TypeScript kernel, the library, its data and both editions of all
chapters, and the book, each page of which opens its chapter. Any web server can serve it, under any path; readers
need a browser and nothing else, and what they change stays in their browser. DIR is site unless you name another.

  --notebooks DIR  the notebooks (default: notebooks)
  --from DIR       their executed copies, for the book (default: .slimlab/run); without them there is no book
  --kernel-only    writes the kernel alone, as an extension that other JupyterLite sites add: DIR/slimlab-kernel
  --serve PORT     shows the site on localhost when it is built
  --base PATH      where on its server it will lie, such as /class/slimlab/: --serve shows it there. All addresses in it
                   are relative, so that the folder is the same for any path (default: /)
`;

/** With these a page may share memory with its workers: `input()` works, and what waits can be interrupted without loss. */
const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      notebooks: { type: "string", default: defaultNotebooks() },
      from: { type: "string", default: join(".slimlab", "run") },
      "kernel-only": { type: "boolean" },
      serve: { type: "string" },
      base: { type: "string", default: "/" },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (positionals.length > 1) throw new Error("name one folder: slimlab site DIR");
  if (!/^\/(\S*\/)?$/.test(values.base))
    throw new RangeError(`--base must be a path from / to /, such as /class/slimlab/, not ${values.base}`);
  const port =
    values.serve === undefined ? undefined : checkInteger("--serve", Number(values.serve), 0, 65535);
  const [folder = "site"] = positionals;
  if (values["kernel-only"]) {
    console.log(`The kernel for JupyterLite: ${await writeKernelExtension(folder)}`);
    return 0;
  }
  const { notebooks, from: executed } = values;
  const onProgress = (what: string) => console.error(`slimlab site: ${what} …`);
  const site = await untilInterrupted((signal) =>
    buildSite(folder, { notebooks, executed, signal, onProgress }).catch((cause) => {
      throw signal.aborted ? new Error("interrupted: nothing was changed", { cause }) : cause;
    }),
  );
  const size = `${site.files} files, ${(site.bytes / 1e6).toFixed(1)} MB`;
  const book = site.hasBook ? "" : " (without the book: slimlab start runs the chapters that it shows)";
  console.log(`The site: ${relative(process.cwd(), site.folder) || site.folder}, ${size}${book}`);
  if (port === undefined) return 0;
  const say = (address: string) => console.log(`It is at ${address} (Ctrl+C ends)`);
  await serveUntilInterrupted(site.folder, port, say, isolation, values.base);
  return 0;
}
