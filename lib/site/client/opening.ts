// What a page does while its notebook is being opened: it waits for nothing that the notebook does not need, and then loads
// what the notebook's cells will import.
import type { Contents } from "./full-storage.ts";

/** Part of JupyterLab's that this file uses. */
export interface Commands {
  execute(id: string, args?: unknown): Promise<unknown>;
}

/**
 * Has a page open its notebook without waiting for the command that restores what JupyterLab remembers: that ends when the
 * state is saved anew, half a second after its last change. (Who needs the state waits for it himself.)
 */
export function openAtOnce(commands: Commands): void {
  const execute = commands.execute.bind(commands);
  commands.execute = async (id, args) => {
    const done = execute(id, args);
    if (id !== "apputils:load-statedb") return done;
    done.catch((error) => console.warn(`slimlab: ${(error as Error).message}`));
    return undefined;
  };
}

/** Part of JupyterLite's settings that this file uses. */
export interface Settings {
  fetch(id: string): Promise<object | undefined>;
  list(): Promise<{ values: { id: string }[] }>;
  save(id: string, raw: string): Promise<void>;
}

/** Has plugins that ask for their settings at the same time share one reading of all: JupyterLite makes one for each. */
export function readTogether(settings: Settings): void {
  const save = settings.save.bind(settings);
  let reading: ReturnType<Settings["list"]> | undefined;
  settings.fetch = async (id) => {
    if (!reading) {
      const own = settings.list();
      reading = own;
      const over = () => {
        if (reading === own) reading = undefined;
      };
      own.then(over, over);
    }
    const found = (await reading).values.find((each) => each.id === id);
    if (!found) throw new Error(`there are no settings ${id}`);
    return structuredClone(found);
  };
  settings.save = async (id, raw) => {
    await save(id, raw);
    reading = undefined;
  };
}

interface Opened {
  type?: string;
  content?: { cells?: { cell_type: string; source: string | string[] }[] } | null;
}

/** Tells of each notebook that is opened which of these modules its cells import. */
export function foresee(
  contents: Contents,
  modules: readonly string[],
  tell: (imported: string[]) => void,
): void {
  const get = contents.get.bind(contents);
  contents.get = async (path, options) => {
    const file = await get(path, options);
    const { type, content } = file as Opened;
    const cells = (type === "notebook" && content?.cells) || [];
    const code = cells.map(({ cell_type, source }) => (cell_type === "code" ? [source].flat().join("") : ""));
    const imported = modules.filter((name) =>
      code.some((text) => text.includes(`"${name}"`) || text.includes(`'${name}'`)),
    );
    if (imported.length > 0) tell(imported);
    return file;
  };
}

/** Does something once the page has nothing more urgent to do. (Safari does not tell.) */
export function whenIdle(work: () => void): void {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(work);
  else setTimeout(work, 1000);
}
