// Where the links and pictures of the notebooks lead in the book. Files are taken along from the notebooks' folder only:
// a book is published, and a notebook that somebody else wrote must not take the builder's own files with it.
import { constants, existsSync, realpathSync, statSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import type { Cell, Language } from "../notebook/notebook.ts";
import { textOf } from "../notebook/notebook.ts";
import type { LinkTarget, Target } from "./markdown.ts";
import { words } from "./words.ts";

/** The place of a page's source, and what it may link to. */
export interface LinkSource {
  /** Path of the notebook or Markdown file. */
  path: string;
  /** Name of the page, for the list of what was left out. */
  page: string;
  language: Language;
  /** The cell whose attachments its pictures may name. */
  cell?: Cell;
}

/** The files of a book: which page stands for a source, which files are taken along, what was left out. */
export class Links {
  /** Links and pictures that the book does not hold, each with the reason: `page: target (reason)`. */
  readonly leftOut: string[] = [];
  readonly #root: string;
  readonly #pages: Map<string, string>;
  readonly #copies = new Map<string, string>();

  /**
   * @param root the notebooks' folder, with all symbolic links followed
   * @param pages slugs by path of the source, where a page is not called as its file
   */
  constructor(root: string, pages: Map<string, string>) {
    this.#root = root;
    this.#pages = pages;
  }

  /** The file behind a path, if it lies in the notebooks' folder, links followed; a dot in front keeps a file private. */
  inside(path: string): { path: string; name: string } | { reason: Reason } {
    let real: string;
    try {
      real = realpathSync(path);
    } catch {
      return { reason: "missing" };
    }
    if (real === this.#root) return { reason: "folder" };
    const name = relative(this.#root, real).split(sep);
    if (name[0] === ".." || resolve(this.#root, ...name) !== real) return { reason: "outside" };
    if (name.some((part) => part.startsWith("."))) return { reason: "hidden" };
    const found = statSync(real, { throwIfNoEntry: false });
    if (!found?.isFile()) return { reason: found?.isDirectory() ? "folder" : "missing" };
    return { path: real, name: name.join("/") };
  }

  /** What stands in the book for a link or picture of a page. */
  resolve(target: string, kind: Target, source: LinkSource): LinkTarget {
    if (/^(https?:|mailto:|#|data:)/i.test(target)) return target;
    const leaveOut = (reason: Reason): LinkTarget => {
      this.leftOut.push(`${source.page}: ${target} (${words.en.leftOut[reason]})`);
      return { reason: words[source.language].leftOut[reason] };
    };
    if (target.startsWith("attachment:")) return attachment(target, source.cell) ?? leaveOut("missing");
    const [address, hash = ""] = target.split("#");
    const anchor = hash ? `#${hash}` : "";
    const place = (file: string) => resolve(dirname(source.path), decoded(file));
    // What a server would be asked for beside the file means nothing here, unless a file is called so.
    const file = existsSync(place(address)) ? address : address.replace(/\?.*$/, "");
    const path = place(file);
    const page = kind === "link" && this.#pages.get(path);
    if (page) return encodePath(join(dirname(decoded(file)), page)) + anchor;
    // To a chapter that is not there: the page's name all the same, and the link is reported as broken.
    if (kind === "link" && /\.(ipynb|md)$/.test(file))
      return encodePath(decoded(file).replace(/\.(ipynb|md)$/, ".html")) + anchor;
    const found = this.inside(path);
    if ("reason" in found) return leaveOut(found.reason);
    this.#copies.set(found.name, found.path);
    return `${source.language === "en" ? "" : "../"}assets/files/${encodePath(found.name)}`;
  }

  /** Copies what was resolved so far, each file under its own path. */
  async copyTo(assets: string): Promise<void> {
    for (const [name, path] of this.#copies) {
      const to = join(assets, "files", name);
      await mkdir(dirname(to), { recursive: true });
      await copyFile(path, to, constants.COPYFILE_EXCL);
    }
    this.#copies.clear();
  }
}

/** Why something is not in the book. */
export type Reason = keyof (typeof words)["en"]["leftOut"];

/** An attached picture as an address of its own; undefined where there is none, or where it is no picture. */
function attachment(target: string, cell: Cell | undefined): string | undefined {
  const attached: unknown = cell?.attachments?.[decoded(target.slice("attachment:".length))];
  if (typeof attached !== "object" || attached === null) return undefined;
  const [type, data] = Object.entries(attached)[0] ?? [];
  return imageAddress(type, data);
}

const imageTypes = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** Base64 of a picture as an address; undefined where it is anything else. */
export function imageAddress(type: unknown, data: unknown): string | undefined {
  const base64 = textOf(data).replace(/\s/g, "");
  const isPicture = imageTypes.includes(type as string) && /^[A-Za-z0-9+/]+={0,2}$/.test(base64);
  return isPicture ? `data:${type};base64,${base64}` : undefined;
}

/** A relative path as an address, with every part encoded; `..` stays. */
export function encodePath(path: string): string {
  return path.split(/[\\/]/).map(encodeURIComponent).join("/");
}

/** An encoded text decoded, or as it is where its percent signs mean nothing. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
