// What the thread that reads HDF5 files is asked, and what it answers.
import type { Constant } from "../import/builder.ts";

/** A group with what is in it. */
export interface H5Group {
  attributes: ReadonlyMap<string, unknown>;
  groups: ReadonlyMap<string, H5Group>;
  arrays: ReadonlyMap<string, Constant>;
}

/** What the thread is asked. */
export interface H5Request {
  bytes: Uint8Array;
  file: string;
}

/** What it answers: that it is ready, or cannot be; what is in a file, or what is wrong with it. */
export type H5Answer =
  | { ready: true }
  | { missing: string }
  | { root: H5Group }
  /** `isLast` where the library has gone down with the file, and the thread reads no more. */
  | { refused: string; isLast: boolean };
