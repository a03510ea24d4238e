// What was run, in all sessions: one JSON array a line, [session, line number, source], in the user's Jupyter folder.
import { randomUUID } from "node:crypto";
import { appendFile, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { jupyterDataFolder } from "../../util/folders.ts";
import { type Entry, type Found, findIn } from "../protocol/history.ts";
import type { Content } from "../protocol/messages.ts";

/** When the file is larger than this at a start, its older half is let go. */
const sizeLimit = 8 << 20;

export class History {
  readonly #file: string | undefined;
  readonly #session = randomUUID();
  /** What this session ran, kept so that it can be asked for at once. */
  #writes: Promise<unknown> = Promise.resolve();
  #own: Entry[] = [];

  constructor() {
    const given = process.env.SLIMLAB_HISTORY;
    this.#file = given === "off" ? undefined : given || join(jupyterDataFolder(), "slimlab", "history.jsonl");
  }

  async add(line: number, source: string): Promise<void> {
    const entry: Entry = [this.#session, line, source];
    if (!this.#file) {
      this.#own.push(entry);
      if (this.#own.length > 10_000) this.#own.shift();
      return;
    }
    const file = this.#file;
    this.#writes = this.#writes
      .then(async () => {
        if (line === 1) await this.#trim(file);
        await appendFile(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
      })
      .catch(() => {
        // A folder that cannot be written to costs the history, not the cell.
      });
    await this.#writes;
  }

  /** Answers a `history_request`. */
  async find(request: Content): Promise<Found[]> {
    const { sessions, own } = await this.#read();
    return findIn(sessions, own, request);
  }

  async close(): Promise<void> {
    await this.#writes;
  }

  async #read(): Promise<{ sessions: [string, Entry[]][]; own: string }> {
    await this.#writes;
    const sessions = new Map<string, Entry[]>();
    const text = this.#file ? await readFile(this.#file, "utf8").catch(() => "") : "";
    for (const entry of [...parse(text), ...this.#own]) {
      const entries = sessions.get(entry[0]);
      if (entries) entries.push(entry);
      else sessions.set(entry[0], [entry]);
    }
    return { sessions: [...sessions], own: this.#session };
  }

  async #trim(file: string): Promise<void> {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const size = await stat(file).then(
      (found) => found.size,
      () => 0,
    );
    if (size <= sizeLimit) return;
    const lines = (await readFile(file, "utf8")).split("\n");
    // What was typed may hold a password: the new file, too, is for the user alone.
    const part = `${file}.${randomUUID()}.tmp`;
    await writeFile(part, lines.slice(lines.length >> 1).join("\n"), { mode: 0o600 });
    await rename(part, file);
  }
}

function* parse(text: string): Generator<Entry> {
  for (const line of text.split("\n")) {
    let entry: unknown;
    try {
      entry = JSON.parse(line);
    } catch {
      continue; // The last line of a file whose writer was killed.
    }
    if (Array.isArray(entry) && typeof entry[0] === "string" && typeof entry[2] === "string")
      yield entry as Entry;
  }
}
