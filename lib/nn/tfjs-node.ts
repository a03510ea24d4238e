// danfojs-node requires @tensorflow/tfjs-node, whose native addon is missing on many machines, although everything
// danfojs calls is plain TensorFlow.js. Until the native backend has been loaded, that name means our own parts of it here.

import Module, { createRequire } from "node:module";

interface Resolver {
  _resolveFilename(request: string, ...rest: unknown[]): string;
}

const require = createRequire(import.meta.url);
const nativeName = "@tensorflow/tfjs-node";
const standIn = Symbol.for("slimlab.tfjs-node");

// Once for all copies of slimlab in a process: one copy's stand-in would be another's native addon.
const state = ((globalThis as { [standIn]?: { native: boolean } })[standIn] ??= installed());

function installed() {
  const own = { native: false };
  // Node's module.registerHooks came with 22.15; this works on 20 too, and CommonJS is all that danfojs uses.
  const resolver = Module as unknown as Resolver;
  const resolveFilename = resolver._resolveFilename;
  resolver._resolveFilename = function (request, ...rest) {
    if (request === nativeName && !own.native) return require.resolve("#tfjs");
    return resolveFilename.call(this, request, ...rest);
  };
  return own;
}

/** Loads the real tfjs-node; throws where its native addon is missing. For `useBackend` only. */
export function requireTfjsNode(): unknown {
  state.native = true;
  try {
    return require(nativeName);
  } catch (error) {
    state.native = false;
    throw error;
  }
}
