// Watches the project's own files that cells import, and theirs: an edit shows in the next cell.
import { existsSync, type FSWatcher, readFileSync, statSync, watch } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { packageRoot } from "../../util/files.ts";
import { pathsOf } from "../cell/tsconfig.ts";
import { filesOfTypes } from "../run/resolve.ts";
import type { FileChange, WatchedFiles } from "./ground.ts";
import { prefix } from "./project.ts";

/** Files that are looked at before each check, at most: of others, watchers tell. */
const mostTold = 300;
const builtFolder = join(packageRoot, "dist/");

/** What tells one state of a file from another; empty where there is none. */
function stampOf(file: string): string {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  return found ? `${found.mtimeNs} ${found.size} ${found.ino}` : "";
}

export class ProjectFiles implements WatchedFiles {
  readonly #folder: string;
  readonly #changed: (changes: FileChange[]) => void;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #watched = new Set<string>();
  /** Of what is watched, the files that are not there (yet). */
  readonly #missing = new Set<string>();
  /** Files whose own imports are watched. */
  readonly #read = new Set<string>();
  /** Files that cells import, and theirs, as the server was last told of them: see `stampOf`. */
  readonly #told = new Map<string, string>();

  constructor(folder: string, changed: (changes: FileChange[]) => void) {
    this.#folder = folder;
    this.#changed = changed;
    this.#watchFolder(folder);
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Tells that files have changed on disk, so that cells see their new types. */
  changed(paths: string[]): void {
    if (paths.length === 0) return;
    // (Before it is told: what changes in between differs from this.)
    for (const path of paths) {
      if (this.#told.has(path)) this.#told.set(path, stampOf(path));
      this.#read.delete(path);
    }
    this.#changed(
      paths.flatMap((path) => {
        const file = resolve(this.#folder, path);
        return this.#whatBecameOf(file).map((type) => ({ uri: pathToFileURL(file).href, type }));
      }),
    );
  }

  /**
   * What became of a file, step by step. One that is made is said to have been gone before: a check may have met it, still
   * empty, before this watcher did, and what TypeScript's server has read it does not read again because it was made.
   */
  #whatBecameOf(file: string): FileChange["type"][] {
    if (!existsSync(file)) {
      if (this.#watched.has(file)) this.#missing.add(file);
      return [3];
    }
    return this.#missing.delete(file) ? [3, 1] : [2];
  }

  /**
   * Watches the files that cells import by relative path, and theirs: an edit shows in the next cell. Watchers tell of a
   * change when they come to it, so what has changed by now is told now.
   */
  watchImports(source: string): void {
    this.#watchImports(source, this.#folder);
    this.changed([...this.#told].flatMap(([file, stamp]) => (stamp === stampOf(file) ? [] : [file])));
  }

  #watchImports(source: string, folder: string): void {
    const specifiers = /\b(?:from|import|require)\s*\(?\s*["']([^"'\n]+)["']/g;
    for (const [, specifier] of source.matchAll(specifiers)) {
      const isOwn = /^(?:\.{1,2}$|(?:\.{1,2}|slimlab)\/)/.test(specifier);
      const mapped = isOwn ? [] : pathsOf(specifier, this.#folder);
      if (!isOwn && mapped.length === 0) continue;
      const built = specifier.startsWith("slimlab/")
        ? join(builtFolder, "lib", specifier.slice(8), "index.d.ts")
        : "";
      const { found, watched } = filesOfTypes(mapped[0] ?? (built || resolve(folder, specifier)));
      const isFirst = found !== undefined && !this.#read.has(found);
      if (found !== undefined && !this.#told.has(found) && !found.startsWith(builtFolder)) {
        // (What was looked for before it was there, the server has to be told of.)
        if (this.#told.size < mostTold) this.#told.set(found, this.#watched.has(found) ? "" : stampOf(found));
      }
      for (const each of watched) {
        if (this.#watched.size >= 5000) break;
        if (each !== found && !this.#watched.has(each)) this.#missing.add(each);
        this.#watched.add(each);
        this.#watchFolder(dirname(each));
      }
      if (isFirst && this.#watched.size < 5000 && /\.[cm]?[jt]sx?$/.test(found)) {
        this.#read.add(found);
        try {
          this.#watchImports(readFileSync(found, "utf8"), dirname(found));
        } catch {}
      }
    }
  }

  #watchFolder(folder: string): void {
    if (this.#watchers.has(folder)) return;
    try {
      const watcher = watch(folder, { persistent: false }, (_event, file) => {
        const path = file === null ? "" : join(folder, String(file));
        const isOwn = basename(path).startsWith(prefix);
        const isAmbient = folder === this.#folder && path.endsWith(".d.ts");
        if (isAmbient && !isOwn && !this.#watched.has(path)) {
          this.#watched.add(path);
          this.#missing.add(path);
        }
        if (this.#watched.has(path) && !isOwn) this.changed([path]);
      });
      watcher.on("error", () => {});
      this.#watchers.set(folder, watcher);
    } catch {}
  }
}
