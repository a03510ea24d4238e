// Where a browser has no room for what a reader changes: notebooks open all the same (JupyterLab makes a checkpoint of each
// before it shows it), and what cannot be saved lies in the page, from where it can be downloaded.

/** Parts of JupyterLab's that this file uses. */
export interface Dialogs {
  showDialog(options: { title: string; body: string; buttons: object[] }): Promise<unknown>;
  Dialog: { okButton(): object };
}

export interface Contents {
  get(path: string, options?: { content?: boolean }): Promise<object>;
  save(path: string, model?: { type?: string; format?: string; content?: unknown }): Promise<object>;
  createCheckpoint(path: string): Promise<{ id: string; last_modified: string }>;
}

/** Whether a failure says that storage has no room; some say nothing at all. */
export function saysFull(error: unknown): boolean {
  const { name = "", message = "" } = (error ?? {}) as Partial<Error>;
  return name === "QuotaExceededError" || message === "";
}

/** Makes JupyterLab's contents bear a storage without room. */
export function bearFullStorage(contents: Contents, { showDialog, Dialog }: Dialogs): void {
  const get = contents.get.bind(contents);
  const save = contents.save.bind(contents);
  const createCheckpoint = contents.createCheckpoint.bind(contents);
  /** What could not be saved, by its path. */
  const held = new Map<string, Record<string, unknown>>();

  contents.get = async (path, options) => {
    const file = held.get(path);
    if (!file) return get(path, options);
    return options?.content === false ? { ...file, content: null } : file;
  };
  contents.save = async (path, model = {}) => {
    try {
      const saved = await save(path, model);
      held.delete(path);
      return saved;
    } catch (error) {
      if (!saysFull(error) || model.content === undefined) throw error;
      const isNews = !held.has(path);
      const now = new Date().toISOString();
      const file = { ...model, name: path.split("/").at(-1), path, created: now, last_modified: now };
      held.set(path, { ...file, writable: true });
      if (isNews)
        void showDialog({
          title: "Not kept",
          body: `This browser has no room left for ${path}. What you change is in this page until you close or reload it: File > Download saves it on your machine. Room comes from deleting other files here, or other sites' data in the browser's settings.`,
          buttons: [Dialog.okButton()],
        });
      return contents.get(path, { content: false });
    }
  };
  contents.createCheckpoint = async (path) => {
    try {
      return await createCheckpoint(path);
    } catch (error) {
      if (!saysFull(error)) throw error;
      return { id: "none", last_modified: new Date().toISOString() };
    }
  };
  // The browser asks before it closes a page that holds what is nowhere else.
  addEventListener("beforeunload", (event) => {
    if (held.size > 0) event.preventDefault();
  });
}
