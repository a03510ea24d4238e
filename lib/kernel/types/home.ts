// The temporary folder of a language service, where the modules of cells are files.
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { ownPrefix } from "../../util/temporary.ts";

/** What such folders' names begin with. */
export const homePrefix = "slimlab-types-";

/** A folder that goes when it is told to, or with the process. */
export class Home {
  readonly path: string;
  readonly #remove = (): void => rmSync(this.path, { recursive: true, force: true });

  constructor() {
    this.path = realpathSync(mkdtempSync(ownPrefix(homePrefix)));
    process.once("exit", this.#remove);
  }

  remove(): void {
    process.removeListener("exit", this.#remove);
    this.#remove();
  }
}
