// Terminal text as HTML: colours by class, so that a page chooses shades that read on its background.
import { escapeHtml } from "../util/html.ts";

const names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** Text with ANSI colours as HTML; other escape sequences are dropped. */
export function ansiToHtml(text: string): string {
  let html = "";
  let bold = false;
  let italic = false;
  let underline = false;
  let color = "";
  const emit = (piece: string) => {
    if (!piece) return;
    const classes = [
      bold && "ansi-bold",
      italic && "ansi-italic",
      underline && "ansi-underline",
      color,
    ].filter(Boolean);
    html +=
      classes.length > 0
        ? `<span class="${classes.join(" ")}">${escapeHtml(piece)}</span>`
        : escapeHtml(piece);
  };
  let last = 0;
  // CSI sequences (those that end in m set colours), OSC sequences, and two-character escapes.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are made of them
  for (const match of text.matchAll(/\x1b\[([0-9;?]*)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]/g)) {
    emit(text.slice(last, match.index));
    last = match.index + match[0].length;
    if (match[2] !== "m") continue;
    const codes = match[1].split(";").map(Number);
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i];
      if (code === 0) [bold, italic, underline, color] = [false, false, false, ""];
      else if (code === 1) bold = true;
      else if (code === 3) italic = true;
      else if (code === 4) underline = true;
      else if (code === 22) bold = false;
      else if (code === 23) italic = false;
      else if (code === 24) underline = false;
      else if (code === 39) color = "";
      else if (code >= 30 && code <= 37) color = `ansi-${names[code - 30]}`;
      else if (code >= 90 && code <= 97) color = code === 90 ? "ansi-dim" : `ansi-${names[code - 90]}`;
      else if (code === 38 || code === 48) i += codes[i + 1] === 5 ? 2 : 4; // 256 or true colours: left out
    }
  }
  emit(text.slice(last));
  return html;
}

/** What a terminal would show in the end: a carriage return writes over its line, a backspace over a character. */
export function settleLines(text: string): string {
  return text
    .replace(/\r\n/g, "\n")
    .split("\n")
    .map((line) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequence that erases a line
      const parts = line.replace(/\r?\x1b\[2?K/g, "\r").split("\r");
      return parts.filter((part, i) => part !== "" || i === 0).at(-1) ?? "";
    })
    .join("\n");
}
