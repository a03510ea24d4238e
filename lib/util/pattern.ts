// Text within regular expressions.

/** Text as a regular expression takes it to the letter. */
export function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
