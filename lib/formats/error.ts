// What every reader of a format throws for a file that it cannot read.

/** A file that is damaged, of another format, or uses what is not supported; the message names the file and the place. */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly code = "ERR_SLIMLAB_FORMAT";
}

/** Throws a {@link FormatError} that names the file. */
export function refuse(file: string, problem: string, cause?: unknown): never {
  throw new FormatError(`${file}: ${problem}`, cause === undefined ? undefined : { cause });
}

/** Runs a reader: what it finds wrong by a RangeError becomes a {@link FormatError} that names the file. */
export function reading<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) refuse(file, error.message, error);
    throw error;
  }
}
