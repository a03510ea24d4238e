import { ensureBackend } from "./backend.ts";
import { showDataFrames } from "./display.ts";

/**
 * Loads danfojs, the DataFrame library, on whichever backend runs. It takes about a second, so only tables load it.
 *
 * @throws Error when danfojs-node is not installed: it is not a dependency of slimlab
 */
export async function loadDanfo(): Promise<typeof import("danfojs-node")> {
  await ensureBackend();
  try {
    const danfo = await import("danfojs-node");
    showDataFrames(danfo);
    return danfo;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error("danfojs-node is not installed: npm install danfojs-node", { cause: error });
  }
}
