// Texts in the reader's language: which language a notebook speaks, its tables, and outputs translated.
import type { Edition } from "./language.ts";
import { textsOf } from "./load.ts";
import { translatePublished } from "./outputs.ts";

export * from "./language.ts";
export { own, ownTexts, tablesIn, textsOf } from "./load.ts";
export { translateBundle, translateOutputs, translatePublished, translateText } from "./outputs.ts";
export { type Table, Texts } from "./texts.ts";

/**
 * What a kernel passes its messages through for an edition that is not English; undefined for English. What cannot be
 * translated goes as it is.
 *
 * @param log hears of what failed
 */
export function translator(
  edition: Edition,
  log: (text: string) => void,
): ((type: string, content: Record<string, unknown>) => Record<string, unknown>) | undefined {
  const texts = textsOf(edition);
  if (!texts) return undefined;
  return (type, content) => {
    try {
      return translatePublished(type, content, texts);
    } catch (error) {
      log(`${type} stays in English: ${(error as Error).message}`);
      return content;
    }
  };
}
