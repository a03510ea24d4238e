// What TypeScript's own service says, in the words and the Markdown of its native language server.
import type ts from "typescript-js";
import type { Position, Range } from "./text.ts";

export interface SignatureAnswer {
  signatures: { label: string; documentation: string }[];
  activeSignature: number;
}

type Parts = readonly ts.SymbolDisplayPart[] | undefined;

/** Text of what is displayed; of a link, what it leads to. */
export function textOfParts(parts: Parts): string {
  return (parts ?? []).map(({ kind, text }) => (kind === "link" ? "" : text)).join("");
}

function positionOf(source: ts.SourceFile, offset: number): Position {
  const { line, character } = source.getLineAndCharacterOfPosition(offset);
  return { line, character };
}

export function rangeOf(source: ts.SourceFile, start: number, end: number): Range {
  return { start: positionOf(source, start), end: positionOf(source, end) };
}

/** LSP's numbers for TypeScript's kinds; what is not here is a property. */
const kinds: Record<string, number> = {
  "primitive type": 14,
  keyword: 14,
  const: 6,
  let: 6,
  var: 6,
  "local var": 6,
  alias: 6,
  parameter: 6,
  using: 6,
  "await using": 6,
  property: 5,
  getter: 5,
  setter: 5,
  accessor: 5,
  function: 3,
  "local function": 3,
  method: 2,
  construct: 2,
  call: 2,
  index: 2,
  enum: 13,
  "enum member": 20,
  module: 9,
  "external module name": 9,
  class: 7,
  "local class": 7,
  type: 7,
  interface: 8,
  warning: 1,
  script: 17,
  directory: 19,
  string: 21,
};

export function completionItem(
  { name, kind, sortText, insertText, replacementSpan }: ts.CompletionEntry,
  source: ts.SourceFile,
): object {
  const item = { label: name, kind: kinds[kind] ?? 10, sortText, insertText };
  if (!replacementSpan) return item;
  const { start, length } = replacementSpan;
  return {
    ...item,
    textEdit: { newText: insertText ?? name, range: rangeOf(source, start, start + length) },
  };
}

export function hoverOf({ displayParts, documentation, tags = [] }: ts.QuickInfo): string {
  const code = `\`\`\`typescript\n${textOfParts(displayParts)}\n\`\`\`\n`;
  return `${code}${textOfParts(documentation)}${tags.map((tag) => `\n\n${tagText(tag)}`).join("")}`;
}

function tagText({ name, text }: ts.JSDocTagInfo): string {
  const said = textOfParts(text);
  if (said === "") return `*@${name}*`;
  if (name === "example")
    return `*@example*\n${said.startsWith("```") ? said : `\`\`\`tsx\n${said}\n\`\`\`\n`}`;
  const parameter = text?.[0]?.kind === "parameterName" ? text[0].text : undefined;
  if (parameter === undefined) return `*@${name}* — ${said}`;
  const rest = textOfParts(text!.slice(1)).trim();
  return `*@${name}* \`${parameter}\`${rest && ` — ${rest.replace(/^[-—]\s*/, "")}`}`;
}

export function signatureOf(item: ts.SignatureHelpItem): SignatureAnswer["signatures"][number] {
  const { prefixDisplayParts, separatorDisplayParts, suffixDisplayParts, parameters, documentation } = item;
  const list = parameters
    .map((each) => textOfParts(each.displayParts))
    .join(textOfParts(separatorDisplayParts));
  return {
    label: `${textOfParts(prefixDisplayParts)}${list}${textOfParts(suffixDisplayParts)}`,
    documentation: textOfParts(documentation),
  };
}
