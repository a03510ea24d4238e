// What the kernel says to Node about modules that import each other. Node takes such hooks as functions of this thread, or,
// before it had that, as a module of another thread: so they are texts, and wait for an answer only where it has to come.
import Module, { register } from "node:module";

interface Hooks {
  resolve: unknown;
  load: unknown;
}

/** In the address of a module that was imported anew: how often that has been. */
export const generationName = "slimlab";

const shared = `
const then = (found, go) => (typeof found.then === "function" ? found.then(go) : go(found));
const isOwn = (url) => url.startsWith("file:") && !url.includes("/node_modules/");
const marked = (url, mark) => url + (url.includes("?") ? "&" : "?") + mark;
`;

/** A module that was imported anew imports its own modules anew: the mark in its address passes to theirs. */
export const reloading = `${shared}
const mark = /[?&]${generationName}=(\\d+)/;
const resolve = (specifier, context, next) =>
  then(next(specifier, context), (found) => {
    const parent = mark.exec(context.parentURL ?? "");
    if (!parent || !isOwn(found.url) || mark.test(found.url)) return found;
    return { ...found, url: marked(found.url, "${generationName}=" + parent[1]) };
  });
const load = (url, context, next) => next(url, context);
`;

/**
 * Between one's own modules, `import x from` means the default export also where Node runs the importing one as an ES module
 * (it is an .mts file) and the other as CommonJS (no package.json says what it is): Node would give all of `module.exports`.
 */
export const defaults = `${shared}
const modules = new Set();
const behind = new Map();
const resolve = (specifier, context, next) => {
  const own = behind.get(context.parentURL);
  if (own) return { ...own, shortCircuit: true };
  return then(next(specifier, context), (found) => {
    const { url, format } = found;
    if (!isOwn(url)) return found;
    if (/^module/.test(format)) modules.add(url);
    if (!/^commonjs/.test(format) || !modules.has(context.parentURL)) return found;
    const front = marked(url, "slimlab-default");
    behind.set(front, found);
    return { ...found, format: "module", url: front, shortCircuit: true };
  });
};
const load = (url, context, next) => {
  if (!behind.has(url)) return next(url, context);
  const source = 'import whole from "x"; export * from "x"; export default whole?.__esModule ? whole.default : whole;';
  return { format: "module", source, shortCircuit: true };
};
`;

/** Has Node call hooks, before those that it has. */
export function registerHook(text: string): void {
  const { registerHooks } = Module as unknown as { registerHooks?: (hooks: Hooks) => void };
  if (registerHooks) registerHooks(new Function(`${text}return { resolve, load };`)() as Hooks);
  else register(`data:text/javascript,${encodeURIComponent(`${text}export { resolve, load };`)}`);
}
