import { ensureBackend } from "./backend.ts";
import { showDataFrames } from "./display.ts";

/**
 * Loads danfojs, the DataFrame library, on whichever backend runs. It takes about a second, so only tables load it.
 *
 * @throws Error when danfojs-node is not installed: it is an optional peer of slimlab
 */
export async function loadDanfo(): Promise<typeof import("danfojs-node")> {
  await ensureBackend();
  try {
    const danfo = await import("danfojs-node");
    showDataFrames(danfo);
    return danfo;
  } catch (error) {
    // Of danfojs-node itself: a package that it needs and does not find is another matter.
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ERR_MODULE_NOT_FOUND" || !message.includes("'danfojs-node'")) throw error;
    throw new Error(
      "a DataFrame needs the optional package danfojs-node, which is not installed: npm install --ignore-scripts danfojs-node",
      { cause: error },
    );
  }
}
