// What a page of the site does beside its kernel: it tells the service worker what it loaded before there was one, and the
// reader, where his browser keeps nothing.
import { type Dialogs, saysFull } from "./full-storage.ts";
import { whenIdle } from "./opening.ts";

/** Part of JupyterLab's that this file uses. */
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
  if (serviceWorker.controller) return;
  void controlled().then(() => {
    // It reads all of them again: not before the page has nothing more urgent to do.
    whenIdle(tell);
  });
}

/** Resolves when the page's service worker sees what it and its workers load. */
export async function controlled(): Promise<void> {
  const { serviceWorker } = navigator;
  if (!serviceWorker || serviceWorker.controller) return;
  await new Promise((resolve) => serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
}

/** Why this browser does not keep what is changed here; undefined where it does. */
async function whyNotKept(): Promise<string | undefined> {
  try {
    const opened = indexedDB.open("slimlab-storage");
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      opened.onupgradeneeded = () => {
        const { transaction } = opened;
        opened.result.createObjectStore("probe").put("x", "y");
        // The request itself says only that it was aborted.
        transaction!.onabort = () => reject(transaction!.error);
      };
      opened.onsuccess = () => resolve(opened.result);
      opened.onerror = () => reject(opened.error);
    });
    database.close();
    indexedDB.deleteDatabase("slimlab-storage");
    return undefined;
  } catch (error) {
    if (saysFull(error)) return "its storage is full";
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
