// What a class has handed in: files, folders, zip archives, and the layouts of nbgrader, Moodle and Canvas downloads. Who
// handed in what stands in the paths. Nothing of it is trusted: what cannot be read has a reason in the place of a notebook.
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { type UnzipFileInfo, unzip } from "fflate";
import { type Notebook, parseNotebook } from "../notebook/notebook.ts";
import { withoutDepths } from "./depths.ts";
import { whatElse } from "./not-a-notebook.ts";

/** One student's work. */
export interface Submission {
  /** Unique in the class, and fit to be a file's name. */
  id: string;
  /** The student, as the path names him. */
  student: string;
  /** Where it came from, for people. */
  path: string;
  notebook?: Notebook;
  /** Why there is no notebook. */
  reason?: string;
  /** Other files that were handed in beside it, by their path from the notebook's folder. */
  files: Map<string, Uint8Array>;
  /** When it was handed in, where that is known. */
  time?: Date;
  /** Marked late by the platform. */
  late?: boolean;
  /** The latest attempt of the student; earlier ones are not graded. */
  attempt: number;
  /** Of the notebook and the files: what was graded already needs not be graded again. */
  hash: string;
  /** What a teacher should know: several notebooks, an earlier attempt. */
  notes: string[];
}

/** A file of a folder or an archive. */
interface Entry {
  path: string;
  /** Why it cannot be read. */
  problem?: string;
  modified?: Date;
  read(): Promise<Uint8Array>;
}

const largestFile = 512 * 1024 * 1024;
const mostEntries = 50_000;
/** Beside a notebook, these are nobody's data. */
const ignored =
  /(^|\/)(node_modules|\.ipynb_checkpoints|\.git|__MACOSX|\.venv)(\/|$)|(^|\/)(\.DS_Store|Thumbs\.db|\._[^/]*)$/;
/** Browsers add an ending of their own to what they download. */
const notebookName = /\.ipynb(\.json|\.txt)?$/i;

/**
 * Finds the submissions in files, folders and zip archives.
 *
 * @param options.original the file name of what was handed out: of several notebooks of a student, the one of this name counts
 * @throws Error where a path does not exist; what is wrong with a submission stands in it
 */
export async function findSubmissions(
  paths: string[],
  options: { original?: string } = {},
): Promise<Submission[]> {
  const found: Submission[] = [];
  for (const path of paths) {
    const stat = await lstat(path).catch(() => undefined);
    if (!stat) throw new Error(`${path} does not exist`);
    if (stat.isDirectory()) {
      found.push(...(await fromEntries(await folderEntries(path), path, options.original)));
    } else if (/\.zip$/i.test(path)) {
      const entry = fileEntry(path, basename(path), stat);
      found.push(...(await fromArchive(entry, path, options.original)));
    } else {
      const student = basename(path).replace(notebookName, "");
      const entry = fileEntry(path, basename(path), stat);
      found.push(await submissionOf([entry], entry, { student, path, attempt: 0 }));
    }
  }
  return latestOf(withOwnNames(found));
}

async function fromArchive(entry: Entry, path: string, original?: string): Promise<Submission[]> {
  try {
    return await fromEntries(await zipEntries(entry), path, original);
  } catch (error) {
    return [unreadable(basename(path).replace(/\.zip$/i, ""), path, (error as Error).message)];
  }
}

function fileEntry(file: string, path: string, stat: Awaited<ReturnType<typeof lstat>>): Entry {
  const problem = stat.isSymbolicLink()
    ? "it is a symbolic link"
    : stat.isDirectory()
      ? "it is a folder"
      : !stat.isFile()
        ? "it is not a regular file"
        : stat.size > largestFile
          ? `it has ${stat.size} bytes, of at most ${largestFile}`
          : undefined;
  return {
    path,
    modified: stat.mtime,
    ...(problem && { problem }),
    async read() {
      // The file may have been exchanged since: what is opened is looked at again.
      const handle = await open(
        file,
        constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
      );
      try {
        if (!(await handle.stat()).isFile()) throw new Error("it is not a regular file");
        return await handle.readFile();
      } finally {
        await handle.close();
      }
    },
  };
}

async function folderEntries(folder: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  const walk = async (place: string): Promise<void> => {
    for (const name of (await readdir(place)).sort()) {
      const file = join(place, name);
      const path = relative(folder, file).split(sep).join("/");
      if (ignored.test(path)) continue;
      const stat = await lstat(file);
      if (stat.isDirectory() && !notebookName.test(name)) await walk(file);
      else entries.push(fileEntry(file, path, stat));
      if (entries.length > mostEntries) throw new Error(`${folder} has more than ${mostEntries} files`);
    }
  };
  await walk(folder);
  return entries;
}

async function zipEntries(archive: Entry): Promise<Entry[]> {
  if (archive.problem) throw new Error(archive.problem);
  const bytes = await archive.read();
  let size = 0;
  let count = 0;
  const filter = ({ name, originalSize }: UnzipFileInfo) => {
    size += originalSize;
    count++;
    return !ignored.test(name) && !name.endsWith("/") && size <= largestFile && count <= mostEntries;
  };
  const files = await new Promise<Record<string, Uint8Array>>((done, fail) => {
    unzip(bytes, { filter }, (error, data) =>
      error ? fail(new Error(`it is no zip archive: ${error.message}`)) : done(data),
    );
  });
  if (size > largestFile || count > mostEntries) {
    throw new Error(`the archive holds ${count} files of ${size} bytes: too much to unpack`);
  }
  return Object.entries(files).map(([name, data]) => ({
    path: readableName(name).replaceAll("\\", "/"),
    modified: archive.modified,
    read: async () => data,
  }));
}

/** Archives of macOS do not say that their names are UTF-8, those of a Chinese Windows are in GB 2312: unread, both are Latin-1. */
function readableName(name: string): string {
  const high = name.match(/[\u0080-\u00ff]+/g);
  if (!high || /[\u0100-\uffff]/.test(name)) return name;
  const bytes = Buffer.from(name, "latin1");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // Letters of Europe stand alone: a name of theirs does not look like pairs of bytes from the table's first rows.
    const inPairs = high.every((run) => run.length % 2 === 0 && !/[\u0080-\u00a0\u00ff]/.test(run));
    return inPairs ? new TextDecoder("gb18030").decode(bytes) : name;
  }
}

/** Who handed in an entry, and as which attempt. */
interface Owner {
  student: string;
  /** The part of the path that is his alone. */
  root: string;
  attempt: number;
  late?: boolean;
}

/** Whose a path is, by the layouts that are known. */
export function ownerOf(path: string): Owner {
  const parts = path.split("/");
  // Moodle: "Ann Lee_123456_assignsubmission_file_/work.ipynb"; with a number of the attempt where there are several.
  for (const [i, part] of parts.entries()) {
    const moodle = /^(.+?)_(\d+)_assignsubmission_(?:file|onlinetext)_?(.*)$/.exec(part);
    if (moodle)
      return {
        student: `${moodle[1]} (${moodle[2]})`,
        root: `${parts.slice(0, i + 1).join("/")}${i < parts.length - 1 ? "/" : ""}`,
        attempt: 0,
      };
  }
  // Canvas: "leeann_LATE_1234_56789_work-2.ipynb", all in one folder.
  const canvas = /^([\p{L}\p{M}\p{N}.'-]+?)(_LATE)?_(\d+)_(\d+)_(.+)$/u.exec(parts.at(-1)!);
  if (canvas) {
    const [, name, late, user, , file] = canvas;
    const attempt = Number(/-(\d+)\.[^.]+$/.exec(file)?.[1] ?? 0);
    return { student: `${name} (${user})`, root: path, attempt, ...(late && { late: true }) };
  }
  // nbgrader's exchange: "inbound/ann+ps1+2026-11-30 12:00:00.5 UTC+9f3c/work.ipynb", a folder each time; the last counts.
  for (const [i, part] of parts.slice(0, -1).entries()) {
    const inbound = /^(.+?)\+.+?\+(\d{4}-\d\d-\d\d[ T][\d:.]+)(?: \S+)?(?:\+.*)?$/.exec(part);
    const time = inbound ? Date.parse(`${inbound[2].replace(" ", "T")}Z`) : Number.NaN;
    if (time > 0) return { student: inbound![1], root: `${parts.slice(0, i + 1).join("/")}/`, attempt: time };
  }
  // nbgrader: "submitted/ann/assignment/work.ipynb", from the course's folder or from within.
  const submitted = parts.indexOf("submitted");
  if (submitted >= 0 && parts.length > submitted + 2) {
    return { student: parts[submitted + 1], root: `${parts.slice(0, submitted + 2).join("/")}/`, attempt: 0 };
  }
  if (parts.length > 1) return { student: parts[0], root: `${parts[0]}/`, attempt: 0 };
  return { student: parts[0].replace(notebookName, "").replace(/\.zip$/i, ""), root: path, attempt: 0 };
}

async function fromEntries(entries: Entry[], source: string, original?: string): Promise<Submission[]> {
  // A folder around all, with the work of several: it says nothing of the students.
  const first = entries[0]?.path.split("/")[0];
  const wrapped = entries.length > 1 && entries.every(({ path }) => path.startsWith(`${first}/`));
  const works = new Set(
    entries
      .filter(({ path }) => notebookName.test(path) || /\.zip$/i.test(path))
      .map(({ path }) => path.split("/")[1]),
  );
  const cut =
    wrapped && works.size > 1 && !/_assignsubmission_/.test(first!) && first !== "submitted"
      ? first!.length + 1
      : 0;
  const groups = new Map<string, { owner: Owner; entries: Entry[] }>();
  for (const entry of entries) {
    const owner = ownerOf(entry.path.slice(cut));
    const key = `${owner.root}\n${owner.student}`;
    const group = groups.get(key) ?? { owner, entries: [] };
    group.entries.push({ ...entry, path: entry.path.slice(cut) });
    groups.set(key, group);
  }
  const found: Submission[] = [];
  for (const { owner, entries } of groups.values())
    found.push(await ofOwner(owner, entries, source, original));
  return found;
}

async function ofOwner(
  owner: Owner,
  entries: Entry[],
  source: string,
  original?: string,
): Promise<Submission> {
  const path = join(source, owner.root.replace(/\/$/, ""));
  const about = { student: owner.student, path, attempt: owner.attempt, late: owner.late };
  let all: Entry[];
  try {
    all = await withUnpacked(entries);
  } catch (error) {
    return unreadable(owner.student, path, (error as Error).message, about);
  }
  const named = all.filter((entry) => notebookName.test(entry.path));
  const notebooks = named.length > 0 ? named : await notebooksByContent(all);
  if (notebooks.length === 0) {
    const names = all.map((entry) => basename(entry.path)).slice(0, 3);
    return unreadable(owner.student, path, `no notebook was handed in, only ${names.join(", ")}`, about);
  }
  const chosen = likest(notebooks, original);
  const made = await submissionOf(all, chosen, about);
  if (notebooks.length > 1)
    made.notes.push(`${notebooks.length} notebooks: ${basename(chosen.path)} was graded`);
  return made;
}

/** Archives within archives are opened so far. */
const deepestArchive = 3;

/** With what is packed in archives, and in archives within these, as long as there is no notebook. */
async function withUnpacked(entries: Entry[]): Promise<Entry[]> {
  const all = [...entries];
  let last = entries;
  for (let depth = 0; depth < deepestArchive && !last.some(({ path }) => notebookName.test(path)); depth++) {
    const inside: Entry[] = [];
    for (const archive of last.filter(({ path }) => /\.zip$/i.test(path))) {
      try {
        inside.push(...(await zipEntries(archive)));
      } catch (error) {
        throw new Error(`${basename(archive.path)}: ${(error as Error).message}`);
      }
    }
    all.push(...inside);
    last = inside;
  }
  return all;
}

/** Some browsers name a notebook by what it is written in: JSON that is one counts where nothing has a notebook's name. */
async function notebooksByContent(entries: Entry[]): Promise<Entry[]> {
  const found: Entry[] = [];
  for (const entry of entries) {
    if (entry.problem || !/\.json$/i.test(entry.path)) continue;
    try {
      parseNotebook(textOfBytes(await entry.read()), entry.path);
      found.push(entry);
    } catch {} // Data.
  }
  return found;
}

/** Of a student's notebooks, the one whose name is most like that of what was handed out; else the first. */
function likest(notebooks: Entry[], original: string | undefined): Entry {
  if (original === undefined) return notebooks[0];
  const wanted = basename(original).replace(notebookName, "").toLowerCase();
  const names = notebooks.map(({ path }) => basename(path).replace(notebookName, "").toLowerCase());
  for (const isLike of [
    (name: string) => name === wanted,
    // A platform, a browser or a person has added something: "ann_work", "work (1)", "work-2", "my work copy".
    (name: string) => name.endsWith(wanted),
    (name: string) => name.includes(wanted),
  ]) {
    const found = names.findIndex(isLike);
    if (found >= 0) return notebooks[found];
  }
  return notebooks[0];
}

function unreadable(
  student: string,
  path: string,
  reason: string,
  about: { attempt: number; late?: boolean } = { attempt: 0 },
): Submission {
  const hash = createHash("sha256").update(`${path}\n${reason}`).digest("hex");
  return { id: "", student, path, reason, files: new Map(), hash, notes: [], ...about };
}

async function submissionOf(
  entries: Entry[],
  chosen: Entry,
  about: { student: string; path: string; attempt: number; late?: boolean },
): Promise<Submission> {
  if (chosen.problem) return unreadable(about.student, about.path, chosen.problem, about);
  const hash = createHash("sha256");
  const notes: string[] = [];
  let notebook: Notebook;
  let bytes: Uint8Array = new Uint8Array();
  try {
    bytes = await chosen.read();
    hash.update(bytes);
    notebook = parseNotebook(textOfBytes(bytes), basename(chosen.path));
    notes.push(...withoutDepths(notebook));
  } catch (error) {
    return unreadable(about.student, about.path, reasonOf(error, bytes), about);
  }
  const files = new Map<string, Uint8Array>();
  const folder = dirname(chosen.path);
  let time = chosen.modified;
  for (const entry of entries) {
    if (entry === chosen || entry.problem || notebookName.test(entry.path) || /\.zip$/i.test(entry.path))
      continue;
    const place = relative(folder, entry.path).split(sep).join("/");
    if (place.startsWith("..") || resolve("/", place) === "/") continue;
    const bytes = await entry.read().catch(() => undefined);
    if (!bytes) continue;
    if (place === "timestamp.txt") {
      const stamp = new Date(textOfBytes(bytes).trim().replace(/ UTC$/, "Z").replace(" ", "T"));
      if (!Number.isNaN(stamp.getTime())) time = stamp;
      continue;
    }
    hash.update(place).update(bytes);
    files.set(place, bytes);
  }
  return {
    id: "",
    ...about,
    notebook,
    files,
    ...(time && { time }),
    hash: hash.digest("hex"),
    notes,
  };
}

/** A shell of Windows writes UTF-16, which begins with a mark. */
function textOfBytes(bytes: Uint8Array): string {
  const mark = bytes.length > 1 ? bytes[0] * 256 + bytes[1] : 0;
  const encoding = mark === 0xfffe ? "utf-16le" : mark === 0xfeff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(bytes);
}

function reasonOf(error: unknown, bytes: Uint8Array): string {
  const { code, message } = error as NodeJS.ErrnoException;
  // The content of what is no notebook is nobody's business: a link could make it anything.
  if (code) return `it cannot be read (${code})`;
  const notJson = /^[\s\S]*? is not JSON, so not a notebook/.exec(message)?.[0];
  if (notJson === undefined) return message;
  return [notJson, whatElse(bytes)].filter(Boolean).join(": ");
}

/** Gives each submission a name of its own that is fit for a file, a cell and a terminal. */
function withOwnNames(submissions: Submission[]): Submission[] {
  const used = new Set<string>();
  for (const submission of submissions) {
    submission.student = harmless(submission.student);
    submission.path = harmless(submission.path);
    const base =
      submission.student
        .replace(/[^\p{L}\p{N}._ -]/gu, "_")
        .replace(/^[.\s]+|[.\s]+$/g, "")
        .slice(0, 80)
        .normalize("NFC") || "student";
    let id = base;
    for (let n = 2; used.has(id.toLowerCase()); n++) id = `${base}-${n}`;
    used.add(id.toLowerCase());
    submission.id = id;
  }
  return submissions;
}

/** Text of strangers for a terminal: without control characters and what turns the direction of writing. */
export function harmless(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");
}

/** Of several attempts of one student (Canvas numbers them) the last counts. */
function latestOf(submissions: Submission[]): Submission[] {
  const last = new Map<string, Submission>();
  for (const one of submissions) {
    const key = one.attempt > 0 || one.late !== undefined ? one.student : one.id;
    const before = last.get(one.student) ?? last.get(key);
    const isAttempt =
      before !== undefined && (before.attempt > 0 || one.attempt > 0) && before.student === one.student;
    if (!isAttempt) {
      last.set(last.has(one.student) ? one.id : one.student, one);
      continue;
    }
    const [older, newer] = before.attempt > one.attempt ? [one, before] : [before, one];
    newer.notes.push(`an earlier attempt was handed in: ${basename(older.path)}`);
    last.set(one.student, newer);
  }
  return [...last.values()];
}
