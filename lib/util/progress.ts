/** A line of progress on a terminal, or one plain line per tenth where output goes to a file or a notebook. */
export interface Progress {
  /** Sets how much is done, with a word on what is going on now. */
  update(done: number, note?: string): void;
  /** Ends the bar; `note` is what stays to be read. */
  end(note?: string): void;
}

/**
 * Starts a progress bar of `total` steps on standard error.
 *
 * @param label what is being done, shown before the bar
 * @param total the number of steps, at least 1
 */
export function progress(
  label: string,
  total: number,
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  const width = 24;
  let lastTenth = -1;
  return {
    update(done, note = "") {
      const share = Math.min(1, Math.max(0, done / total));
      if (stream.isTTY) {
        const filled = Math.round(share * width);
        const bar = "█".repeat(filled) + "░".repeat(width - filled);
        const line = `${label} ${bar} ${done}/${total} ${note}`;
        stream.write(`\r\x1b[K${line.slice(0, (stream.columns || 100) - 1)}`);
        return;
      }
      const tenth = Math.floor(share * 10);
      if (tenth === lastTenth) return;
      lastTenth = tenth;
      stream.write(`${label} ${done}/${total} ${note}`.trimEnd().concat("\n"));
    },
    end(note) {
      if (stream.isTTY) stream.write("\r\x1b[K");
      if (note) stream.write(`${label} ${note}\n`);
    },
  };
}
