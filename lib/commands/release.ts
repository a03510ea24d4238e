// `slimlab release`: the students' edition of notebooks, and a course's folder for nbgrader.
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { nbgraderSource, studentEdition } from "../classroom/release.ts";
import { nbgraderConfig } from "../install/nbgrader.ts";
import { chapterOf, readNotebook } from "../notebook/notebook.ts";
import { writeFileAtomic } from "../util/files.ts";

const help = `Usage: slimlab release [OPTION]... NOTEBOOK...

Makes the edition of notebooks that students get: stubs in the place of solutions (cells tagged "solution", and what stands
between // BEGIN SOLUTION and // END SOLUTION), no tests between // BEGIN HIDDEN TESTS and // END HIDDEN TESTS, no outputs,
tests in cells of their own, folded and locked. Nothing is written if any text of a solution or hidden test would be left.

  --out DIR       where the notebooks go (default: release)
  --nbgrader DIR  nbgrader's course folder: writes DIR/source/NAME/NAME.ipynb, which nbgrader generate_assignment releases,
                  and DIR/nbgrader_config.py if there is none: the course is called as the folder`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      out: { type: "string" },
      nbgrader: { type: "string" },
    },
  });
  if (values.help || positionals.length === 0) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  // All are made before the first is written: one that leaks stops the others too.
  const made: [path: string, text: string][] = [];
  const write = (path: string, content: object) => made.push([path, `${JSON.stringify(content, null, 1)}\n`]);
  for (const path of positionals) {
    const notebook = await readNotebook(path);
    const { slug, language } = chapterOf(path);
    const name = language === "en" ? basename(path) : join(language, basename(path));
    if (values.out !== undefined || values.nbgrader === undefined) {
      const target = join(values.out ?? "release", name);
      if (resolve(target) === resolve(path))
        throw new Error(`the students' edition would overwrite ${path}: choose another --out`);
      write(target, await studentEdition(notebook, path));
    }
    if (values.nbgrader !== undefined) {
      write(join(values.nbgrader, "source", slug, `${slug}.ipynb`), await nbgraderSource(notebook, path));
    }
  }
  for (const [path, text] of made) {
    await writeFileAtomic(path, text);
    console.log(path);
  }
  const config = values.nbgrader === undefined ? undefined : join(values.nbgrader, "nbgrader_config.py");
  if (config !== undefined && !existsSync(config)) {
    await writeFileAtomic(config, nbgraderConfig(basename(resolve(values.nbgrader!))));
    console.log(config);
  }
  return 0;
}
