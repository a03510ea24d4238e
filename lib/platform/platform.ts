// What slimlab asks of the machine that it runs on. node.ts and web.ts each export all of it; the package's imports in
// package.json choose between them by the condition `browser`, so code says `import { sha256 } from "#platform"`.

/** How far values are followed and where text is cut when they are shown. */
export interface InspectOptions {
  depth?: number | null;
  colors?: boolean;
  maxArrayLength?: number;
  maxStringLength?: number;
  breakLength?: number;
  numericSeparator?: boolean;
}

/** A file that is read in pieces. */
export interface OpenFile {
  /** Its length in bytes. */
  readonly size: number;
  /** The bytes from `position` on; fewer than `length` only where the file ends. */
  read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** The functions of `#platform`. */
export interface Platform {
  /** Which of the two this is. */
  readonly platformName: "node" | "web";

  /** The SHA-256 of bytes, 32 of them. Synchronous, as are all functions here that promise nothing. */
  sha256(bytes: Uint8Array): Uint8Array;
  /** A version 4 UUID. */
  randomId(): string;
  /** Bytes as base64. */
  toBase64(bytes: Uint8Array): string;

  /** Raw deflate (RFC 1951) at the best compression. */
  deflateRaw(bytes: Uint8Array): Uint8Array;
  /**
   * The content of a raw deflate stream.
   * @param limit the most bytes that the content may have
   * @throws Error when the stream is damaged, truncated or holds more
   */
  inflateRaw(bytes: Uint8Array, limit: number): Uint8Array;
  /** A zlib stream (RFC 1950) at the best compression, as PNG wants it. */
  deflateZlib(bytes: Uint8Array): Uint8Array;
  /** The content of a gzip file, under the same conditions as {@link inflateRaw}. */
  gunzip(bytes: Uint8Array, limit: number): Promise<Uint8Array>;

  /** The address of a file of the package: a path on Node, a URL on the web. */
  packageFile(...parts: string[]): string;
  /** Joins a folder and names to an address; a name may hold `/`. */
  joinPath(folder: string, ...names: string[]): string;
  /** Whether there is a file or folder at an address. On the web that takes a request, so the answer is a promise. */
  exists(address: string): Promise<boolean>;
  /** Whether an address is a folder's; on the web one that ends in `/`. */
  isFolder(address: string): Promise<boolean>;
  /**
   * The bytes of a file.
   * @throws Error with Node's `code` (ENOENT …) where there is one
   */
  readBytes(address: string): Promise<Uint8Array>;
  /**
   * Writes a file so that a reader sees the old one or the new one, never a part; makes missing folders.
   * On the web it is an error: a page has no file system.
   */
  writeFileAtomic(address: string, data: string | Uint8Array): Promise<void>;
  /** {@link writeFileAtomic} for what comes piece by piece, which never has to be in memory as a whole. */
  writePartsAtomic(address: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void>;
  /** Removes a file; one that is not there is no error. */
  removeFile(path: string): Promise<void>;
  /** Opens a file to be read in pieces; on the web it is fetched whole. */
  openFile(address: string): Promise<OpenFile>;
  /** The folder for downloads that the machine's customs ask for. */
  cacheFolder(): string;
  /** An environment variable; undefined where it is not set and on the web, which has none. */
  environment(name: string): string | undefined;
  /** Whether a name is one that starts at the root, like `/usr/share`. */
  isRooted(address: string): boolean;

  /** Resolves after timers, messages and other work that waits have had their turn. */
  turn(): Promise<void>;
  /**
   * Starts a helper thread on a module with data that it finds by {@link helperData}; false where there are no threads
   * (on the web there are none for libraries: a bundler moves the module away), so that the caller does all the work.
   */
  startHelper(module: () => URL, data: unknown): boolean;
  /** What {@link startHelper} handed to the thread that asks. */
  helperData(): unknown;

  /** A value as Node's console shows it. */
  inspect(value: unknown, options?: InspectOptions): string;
  /** Text without a terminal's colours. */
  stripVTControlCharacters(text: string): string;
  /** Text as the console makes it of its arguments. */
  format(...values: unknown[]): string;
  /** Whether a value is a promise of the language's own, of which no code of the user's is asked. */
  isPromise(value: unknown): value is Promise<unknown>;
  /** Whether a stack frame's file is the machine's own or lies in the folder of a module (its `import.meta.url`). */
  isOwnCode(file: string, module: string): boolean;
  /** The place in a source from which a place of running code was made, as far as its source map is known; from 1. */
  originalPlace(
    file: string,
    line: number,
    column: number,
  ): { file: string; line: number; column: number } | undefined;
  /** Whether a value is a Proxy, whose traps must not be woken; always false on the web, where that cannot be known. */
  isProxy(value: unknown): boolean;
}
