// The temporary folder of a language service, where the modules of cells are files.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { ownPrefix } from "../../util/temporary.ts";
import type { OwnFolder } from "./ground.ts";
import { slashes } from "./text.ts";

/** What such folders' names begin with. */
export const homePrefix = "slimlab-types-";

/** A folder that goes when it is told to, or with the process. */
export class Home implements OwnFolder {
  readonly path: string;
  readonly #remove = (): void => rmSync(this.path, { recursive: true, force: true });

  constructor() {
    this.path = slashes(realpathSync(mkdtempSync(ownPrefix(homePrefix))));
    process.once("exit", this.#remove);
  }

  write(name: string, text: string): void {
    try {
      writeFileSync(`${this.path}/${name}`, text);
    } catch {
      // Something cleaned the temporary folder: what the server has read already it keeps.
      mkdirSync(this.path, { recursive: true });
      writeFileSync(`${this.path}/${name}`, text);
    }
  }

  remove(): void {
    process.removeListener("exit", this.#remove);
    this.#remove();
  }
}
