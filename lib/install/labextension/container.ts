// Runs in the browser: what JupyterLab 4, Notebook 7 and JupyterLite load an extension by. The module federation protocol
// asks for no bundler: a script puts a container { init, get } at window._JUPYTERLAB[name].

/** Lab's shared packages: name, then version, then how to get it. */
type ShareScope = Record<string, Record<string, { get(): Promise<() => unknown> | (() => unknown) }>>;

interface Container {
  init(scope: ShareScope): void;
  get(module: string): Promise<() => unknown>;
}

declare global {
  interface Window {
    _JUPYTERLAB?: Record<string, Container>;
  }
}

/** Lab's own copy of a package: a second copy of Lumino's Widget would not be an instance of Lab's. */
export type FromLab = (name: string) => Promise<unknown>;

// Only while a script first runs does it know where it came from; every other file lies beside it, under any base URL.
/** The folder of this script. */
export const folder = new URL(".", (document.currentScript as HTMLScriptElement).src).href;

/** The event of a page that a chart will come: there its viewer gets ready while the cell computes. */
export const chartsAhead = "slimlab:charts-ahead";

/**
 * Offers an extension's modules.
 *
 * @param modules by name (`./extension`), what makes each one's default export
 */
export function offer(name: string, modules: Record<string, (fromLab: FromLab) => Promise<unknown>>): void {
  let shared: ShareScope = {};
  const fromLab: FromLab = async (wanted) => {
    const [newest] = Object.entries(shared[wanted] ?? {}).sort(([a], [b]) =>
      b.localeCompare(a, "en", { numeric: true }),
    );
    if (!newest) throw new Error(`${name}: this JupyterLab does not share ${wanted}`);
    return (await newest[1].get())();
  };
  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB[name] = {
    init(scope) {
      shared = scope;
    },
    async get(module) {
      if (!Object.hasOwn(modules, module)) throw new Error(`${name} has no module ${module}`);
      const made = await modules[module](fromLab);
      return () => ({ __esModule: true, default: made });
    },
  };
}
