// `node:fs`, as far as cells and the library use it, over the files of the worker.
import { files, normal, type Stats } from "../files.ts";
import promisesModule, { decoded } from "./fs-promises.ts";

export const promises = promisesModule;
export const constants = { F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 } as const;

type Path = string | URL;

export function existsSync(path: Path): boolean {
  return files.isFile(normal(path)) || files.isFolder(normal(path));
}

export const readFileSync = (path: Path, options?: Parameters<typeof decoded>[1]) =>
  decoded(files.readSync(normal(path)), options);

export const writeFileSync = (path: Path, data: string | Uint8Array) => files.write(normal(path), data);

export const mkdirSync = (path: Path, options: { recursive?: boolean } = {}) =>
  files.makeFolder(normal(path), options.recursive);

export const rmSync = (path: Path, options?: { recursive?: boolean; force?: boolean }) =>
  files.remove(normal(path), options);

export const readdirSync = (path: Path) => files.list(normal(path));

export function statSync(path: Path, options: { throwIfNoEntry?: boolean } = {}): Stats | undefined {
  return options.throwIfNoEntry === false && !existsSync(path) ? undefined : files.stat(normal(path));
}

export const lstatSync = statSync;
export const realpathSync = normal;

export default {
  promises,
  constants,
  existsSync,
  readFileSync,
  writeFileSync,
  mkdirSync,
  rmSync,
  readdirSync,
  statSync,
  lstatSync,
  realpathSync,
};
