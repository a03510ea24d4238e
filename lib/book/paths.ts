// Paths of the machine that built a book stay out of it: outputs and reports name files from the book's own places.
import { homedir } from "node:os";
import { pathToFileURL } from "node:url";
import { packageRoot } from "../util/files.ts";
import { literally } from "../util/pattern.ts";

/** Returns a copy of any JSON value in which no string holds a path of this machine. */
export type HidePaths = <T>(value: T) => T;

/** A function that shortens paths into the notebooks' folder, the package, the working folder and the home folder. */
export function pathHider(notebooks: string[]): HidePaths {
  const places: [path: string, name: string][] = [
    ...notebooks.map((path): [string, string] => [path, "notebooks"]),
    [packageRoot, "slimlab"],
    [process.cwd(), "."],
    [homedir(), "~"],
  ];
  const names = new Map<string, string>();
  for (const [path, name] of places) {
    if (path.length < 2) continue; // a home of "/" is in every path
    for (const form of [pathToFileURL(path).href, path, path.replaceAll("\\", "\\\\")])
      if (!names.has(form)) names.set(form, name);
  }
  // The longest first: a notebook in the home folder is named from the notebooks.
  const forms = [...names.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`(?:${forms.map(literally).join("|")})(?![\\w.-])`, "g");
  const hide = (value: unknown): unknown => {
    if (typeof value === "string") return value.replace(pattern, (path) => names.get(path)!);
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(hide);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, hide(member)]));
  };
  return hide as HidePaths;
}
