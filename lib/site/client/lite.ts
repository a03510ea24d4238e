// Runs in the browser: the JupyterLite extension that brings the kernel. JupyterLite hands it messages as objects, one after
// the other as each is taken, and the kernel's own core queues them, so that completion answers while a cell runs.
import { chartsAhead, folder, offer } from "../../install/labextension/container.ts";
import type { Channel, Message } from "../../kernel/protocol/messages.ts";
import type { CheckMode } from "../../kernel/types/check.ts";
import { startWebKernel, type WebKernel } from "../../kernel/web/kernel.ts";
import { Language } from "../../kernel/web/language.ts";
import { translatePublished } from "../../texts/outputs.ts";
import { type Table, Texts } from "../../texts/texts.ts";
import { type App, keepFirstKeys, type Sessions } from "./first-keys.ts";
import { bearFullStorage, type Contents, type Dialogs } from "./full-storage.ts";
import { foresee, openAtOnce, readTogether, type Settings, whenIdle } from "./opening.ts";
import { controlled, type PageSettings, rememberVisit, tellWhereKept } from "./visit.ts";

/** Put in by ../extension.ts: slimlab's version, the worker's script and the modules, from this script's folder. */
declare const site: {
  version: string;
  worker: string;
  types: string;
  modules: Record<string, string>;
  texts: string;
};

/** A message as JupyterLite has it. */
type LiteMessage = Omit<Message, "identities" | "buffers"> & {
  channel: Channel;
  buffers?: (ArrayBuffer | ArrayBufferView)[];
};

interface KernelOptions {
  id: string;
  name: string;
  /** The notebook's folder in the site's drive: "RTC:zh". */
  location: string;
  sendMessage(message: LiteMessage): void;
}

interface KernelSpecs {
  register(options: { spec: object; create(options: KernelOptions): Promise<LiteKernel> }): void;
}

interface KernelClient {
  interrupt(id: string): Promise<void>;
}

interface Signal {
  emit(value: undefined): void;
}

interface Commands {
  addCommand(id: string, options: object): void;
  notifyCommandChanged(id: string): void;
}

interface MainMenu {
  kernelMenu: { addGroup(items: { command: string }[], rank: number): void };
}

interface Palette {
  addItem(item: { command: string; category: string }): void;
}

const running = new Map<string, LiteKernel>();

// Whether cells' types are checked is this browser's setting, for all notebooks: a small machine has no room for TypeScript.
const checksKey = "slimlab-checks";

function checks(): boolean {
  try {
    return localStorage.getItem(checksKey) !== "off";
  } catch {
    return true; // Storage is forbidden here.
  }
}

function switchChecks(on: boolean): void {
  try {
    localStorage.setItem(checksKey, on ? "on" : "off");
  } catch {}
  for (const kernel of running.values()) kernel.check(on);
  next?.switch(modeOf(on));
}

/** Whether this page is there for one notebook. */
const opensNotebook = document.body.dataset.notebook === "notebooks";

const modeOf = (on: boolean): CheckMode => (on ? "error" : "off");

const newLanguage = () =>
  new Language(() => new Worker(new URL(site.types, folder), { type: "module" }), modeOf(checks()));

/** That of the kernel which is started next. */
let next: Language | undefined;

/**
 * On a page that opens a notebook TypeScript is loaded beside JupyterLab, which is not there yet by far. A service worker
 * that comes first keeps what its worker loads.
 */
function startLanguage(): void {
  next = newLanguage();
  const own = next;
  void controlled().then(() => {
    if (own === next) own.start();
  });
}

/** What cells of the notebook that was opened last import. */
let imported: string[] = [];

function takeLanguage(): Language {
  const language = next ?? newLanguage();
  next = undefined;
  return language;
}

const bytesOf = (buffer: ArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);

/** Where cells' relative imports start: the site's files, in the notebook's folder. */
function baseOf(location: string): string {
  const path = location.replace(/^[^/]*:/, "");
  return new URL(`../files/${path ? `${path}/` : ""}`, globalThis.location.href).href;
}

/** Chinese notebooks lie in `zh`: what their cells show is translated as it leaves, as on Node. */
async function textsFor(location: string): Promise<Texts | undefined> {
  if (!/(^|[:/])zh$/.test(location)) return undefined;
  const tables = (await (await fetch(new URL(site.texts, folder))).json()) as Table[];
  return new Texts(...tables);
}

class LiteKernel {
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly ready: Promise<void>;
  readonly disposed: Signal;
  isDisposed = false;
  #kernel: WebKernel;
  #texts: Texts | undefined;
  /** The client that spoke last: what no request has caused goes to it. */
  #session = "";

  constructor({ id, name, location, sendMessage }: KernelOptions, disposed: (kernel: LiteKernel) => Signal) {
    this.id = id;
    this.name = name;
    this.location = location;
    this.disposed = disposed(this);
    // Texts that cannot be had leave a notebook in English, and the cells run.
    this.ready = textsFor(location).then(
      (texts) => {
        this.#texts = texts;
      },
      (error) => console.warn(`slimlab: outputs stay in English: ${(error as Error).message}`),
    );
    const modules = Object.entries(site.modules).map(([module, path]) => [
      module,
      new URL(path, folder).href,
    ]);
    const language = takeLanguage();
    this.#kernel = startWebKernel({
      worker: () => new Worker(new URL(site.worker, folder), { type: "module" }),
      language,
      modules: Object.fromEntries(modules),
      base: baseOf(location),
      version: site.version,
      send: (channel, { header, parent_header, metadata, content, buffers }) => {
        const shown =
          this.#texts && channel === "iopub"
            ? translatePublished(header.msg_type, content, this.#texts)
            : content;
        // JupyterLite finds a message's client by its session.
        const session = parent_header.session ?? this.#session;
        sendMessage({
          channel,
          header: { ...header, session },
          parent_header,
          metadata,
          content: shown,
          buffers: buffers.map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
        });
      },
    });
    running.set(id, this);
    whenIdle(() => this.#getReady(language));
  }

  /** While a reader reads, what his cells will need is loaded. */
  #getReady(language: Language): void {
    if (this.isDisposed || imported.length === 0) return;
    this.#kernel.loadAhead(imported);
    language.readAhead(imported);
    if (imported.includes("slimlab/plots")) dispatchEvent(new Event(chartsAhead));
  }

  async handleMessage({ channel, header, parent_header, metadata, content, buffers = [] }: LiteMessage) {
    this.#session = header.session;
    if (channel !== "shell" && channel !== "control" && channel !== "stdin") return;
    const own = buffers.map(bytesOf);
    this.#kernel.receive(channel, { identities: [], header, parent_header, metadata, content, buffers: own });
  }

  interrupt(): Promise<boolean> {
    return this.#kernel.interrupt();
  }

  check(on: boolean): void {
    this.#kernel.check(modeOf(on));
  }

  dispose(): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    if (running.get(this.id) === this) running.delete(this.id);
    this.#kernel.close();
    this.disposed.emit(undefined);
  }
}

const spec = {
  name: "slimlab",
  display_name: "TypeScript (slimlab)",
  language: "typescript",
  argv: [],
  resources: { "logo-32x32": `${folder}logo-32x32.png`, "logo-64x64": `${folder}logo-64x64.png` },
  metadata: { interrupt_mode: "message" },
};

offer("slimlab-kernel", {
  "./extension": async (fromLab) => {
    const { IKernelSpecs, IKernelClient } = (await fromLab("@jupyterlite/services")) as Record<
      string,
      unknown
    >;
    const { Signal } = (await fromLab("@lumino/signaling")) as { Signal: new (sender: unknown) => Signal };
    const { IMainMenu } = (await fromLab("@jupyterlab/mainmenu")) as Record<string, unknown>;
    const apputils = (await fromLab("@jupyterlab/apputils")) as Dialogs &
      Sessions & { ICommandPalette: unknown };
    const { ICommandPalette } = apputils;
    const { PageConfig } = (await fromLab("@jupyterlab/coreutils")) as { PageConfig: PageSettings };
    return [
      {
        id: "slimlab-kernel:visit",
        autoStart: true,
        activate(app: App & { serviceManager: { contents: Contents; settings: Settings } }) {
          bearFullStorage(app.serviceManager.contents, apputils);
          readTogether(app.serviceManager.settings);
          foresee(app.serviceManager.contents, Object.keys(site.modules), (modules) => {
            imported = modules;
          });
          keepFirstKeys(app, apputils);
          if (opensNotebook) openAtOnce(app.commands);
          rememberVisit(PageConfig);
          void tellWhereKept(apputils);
        },
      },
      {
        id: "slimlab-kernel:checks",
        autoStart: true,
        optional: [IMainMenu, ICommandPalette],
        activate({ commands }: { commands: Commands }, menu: MainMenu | null, palette: Palette | null) {
          let on = checks();
          const command = "slimlab:check-types";
          commands.addCommand(command, {
            label: "Check Types of TypeScript Cells",
            caption: "Checking loads TypeScript (1.7 MB) and takes memory; without it cells run unchecked",
            isToggleable: true,
            isToggled: () => on,
            execute: () => {
              on = !on;
              switchChecks(on);
              commands.notifyCommandChanged(command);
            },
          });
          menu?.kernelMenu.addGroup([{ command }], 100);
          palette?.addItem({ command, category: "Kernel" });
        },
      },
      {
        id: "slimlab-kernel:kernel",
        autoStart: true,
        requires: [IKernelSpecs],
        activate(_: unknown, specs: KernelSpecs) {
          if (opensNotebook) startLanguage();
          specs.register({
            spec,
            create: async (options) => new LiteKernel(options, (own) => new Signal(own)),
          });
        },
      },
      {
        id: "slimlab-kernel:interrupt",
        autoStart: true,
        requires: [IKernelClient],
        // JupyterLite empties its queue at an interrupt and tells no kernel.
        activate(_: unknown, client: KernelClient) {
          const before = client.interrupt.bind(client);
          client.interrupt = async (id) => {
            await Promise.all([before(id), running.get(id)?.interrupt()]);
          };
        },
      },
    ];
  },
});
