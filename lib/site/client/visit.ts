// What a page of the site does beside its kernel: it tells the service worker what it loaded before there was one, and the
// reader, where his browser keeps nothing.

/** Parts of JupyterLab's that this file uses. */
export interface Dialogs {
  showDialog(options: { title: string; body: string; buttons: object[] }): Promise<unknown>;
  Dialog: { okButton(): object };
}

export interface PageSettings {
  getOption(name: string): string;
  getBaseUrl(): string;
}

/** A second visit then needs no network for what this one has used. */
export function rememberVisit(settings: PageSettings): void {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  // JupyterLite takes a service worker of which it has no note for an old one, removes it and fetches it anew: not offline.
  const script = new URL("service-worker.js", new URL(settings.getBaseUrl(), location.href));
  script.searchParams.set("enableCache", settings.getOption("enableServiceWorkerCache") || "false");
  try {
    const note = `${script.href}-version`;
    if (localStorage.getItem(note) === null) localStorage.setItem(note, settings.getOption("appVersion"));
  } catch {
    return; // Without storage there are no service workers.
  }
  const tell = () => {
    const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
    serviceWorker.controller?.postMessage({ loaded: [location.href, ...loaded] });
  };
  if (!serviceWorker.controller) serviceWorker.addEventListener("controllerchange", tell, { once: true });
}

/** Of JupyterLab's contents, what this file wraps. */
export interface Contents {
  save(path: string, options?: object): Promise<unknown>;
}

/** JupyterLab shows why a file could not be saved; where a browser has no room, that is an empty line. */
export function explainFullStorage(contents: Contents): void {
  const save = contents.save.bind(contents);
  contents.save = async (path, options) => {
    try {
      return await save(path, options);
    } catch (error) {
      const { name = "", message = "" } = (error ?? {}) as Partial<Error>;
      if (message && name !== "QuotaExceededError") throw error;
      throw new Error(
        "This browser has no room left for what you change. It is in this page until you close or reload it: File > Download saves it on your machine. Room comes from deleting other files here, or other sites' data in the browser's settings.",
        { cause: error },
      );
    }
  };
}

/** Why this browser does not keep what is changed here; undefined where it does. */
async function whyNotKept(): Promise<string | undefined> {
  try {
    const opened = indexedDB.open("slimlab-storage");
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      opened.onsuccess = () => resolve(opened.result);
      opened.onerror = () => reject(opened.error);
    });
    database.close();
    indexedDB.deleteDatabase("slimlab-storage");
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Says at the start that changes will be lost, not when they are. */
export async function tellWhereKept({ showDialog, Dialog }: Dialogs): Promise<void> {
  const reason = await whyNotKept();
  if (reason === undefined) return;
  await showDialog({
    title: "Nothing is kept",
    body: `This browser lets the page keep nothing (${reason}): what you change is gone when you close or reload it. File > Download saves the notebook on your machine.`,
    buttons: [Dialog.okButton()],
  });
}
