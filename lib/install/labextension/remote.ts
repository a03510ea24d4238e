// Runs in the browser: the prebuilt JupyterLab extension. JupyterLab 4 and Notebook 7 load extensions by the module
// federation protocol, which asks for no bundler: a script puts a container { init, get } at window._JUPYTERLAB[name].
// index.ts turns this file into one plain script.
import { plotlyRenderer, type WidgetClass } from "./plotly.ts";

/** Lab's shared packages: name, then version, then how to get it. */
type ShareScope = Record<string, Record<string, { get(): Promise<() => unknown> | (() => unknown) }>>;

interface Container {
  init(scope: ShareScope): void;
  get(module: string): Promise<() => unknown>;
}

/** The name of Plotly's file, put in by index.ts. */
declare const plotlyFile: string;

declare global {
  interface Window {
    _JUPYTERLAB?: Record<string, Container>;
  }
}

// Only while a script first runs does it know where it came from; every other file lies beside it, under any base URL.
const folder = new URL(".", (document.currentScript as HTMLScriptElement).src).href;
let shared: ShareScope = {};

/** Lab's own copy of a package: a second copy of Lumino's Widget would not be an instance of Lab's. */
async function fromLab(name: string): Promise<unknown> {
  const [newest] = Object.entries(shared[name] ?? {}).sort(([a], [b]) =>
    b.localeCompare(a, "en", { numeric: true }),
  );
  if (!newest) throw new Error(`slimlab: this JupyterLab does not share ${name}`);
  return (await newest[1].get())();
}

window._JUPYTERLAB ??= {};
window._JUPYTERLAB.slimlab = {
  init(scope) {
    shared = scope;
  },
  async get(module) {
    if (module !== "./mimeExtension") throw new Error(`slimlab has no module ${module}`);
    const { Widget } = (await fromLab("@lumino/widgets")) as { Widget: WidgetClass };
    const plugin = plotlyRenderer(Widget, folder + plotlyFile);
    return () => ({ __esModule: true, default: plugin });
  },
};
