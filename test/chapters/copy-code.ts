// `npm run editions`: after code has changed in an English chapter, brings it into the Chinese edition, cell by cell; a
// Markdown cell that is new comes in English, for the tests to ask for. What the kernel says of its language goes into
// both, so that a front end has nothing to change when it opens one.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { kernelInfo } from "../../lib/kernel/node/info.ts";
import { findChapters, readNotebook } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { withCodeOf } from "./edition.ts";

const chapters = await findChapters(join(packageRoot, "notebooks"));
const language_info = Object.fromEntries(Object.entries(kernelInfo(false).language_info).sort());
for (const { path, slug } of chapters.filter(({ language }) => language === "en")) {
  const notebook = await readNotebook(path);
  const [before, after] = [notebook.metadata, { ...notebook.metadata, language_info }].map(
    (metadata) => `${JSON.stringify({ ...notebook, metadata }, null, 1)}\n`,
  );
  if (before === after) continue;
  await writeFile(path, after);
  console.log(`${slug}.ipynb says of its language what the kernel says`);
}
for (const { path, slug } of chapters.filter(({ language }) => language === "zh")) {
  const twin = chapters.find((other) => other.language === "en" && other.slug === slug);
  if (!twin) throw new Error(`${path} has no English edition`);
  const [own, english] = [await readNotebook(path), await readNotebook(twin.path)];
  const [before, after] = [own, withCodeOf(own, english)].map(
    (notebook) => `${JSON.stringify(notebook, null, 1)}\n`,
  );
  if (before === after) continue;
  await writeFile(path, after);
  console.log(`zh/${slug}.ipynb has the code of ${slug}.ipynb again`);
}
