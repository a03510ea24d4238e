// In a process of its own: asks TypeDoc what the rooms that are named export, and prints the pages of the reference as JSON.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../util/files.ts";
import type { ReferencePage } from "./pages.ts";

/** What is used of TypeDoc's model; it is no dependency of the package. */
interface Part {
  kind: string;
  text: string;
}
interface Comment {
  summary: Part[];
  blockTags: { tag: string; content: Part[] }[];
}
interface Type {
  toString(): string;
  declaration?: Reflection;
}
interface Reflection {
  name: string;
  kind: number;
  comment?: Comment;
  children?: Reflection[];
  signatures?: Reflection[];
  parameters?: Reflection[];
  typeParameters?: Reflection[];
  type?: Type;
  flags: { isOptional?: boolean; isRest?: boolean; isStatic?: boolean; isInherited?: boolean };
  inheritedFrom?: unknown;
  getTargetReflectionDeep?(): Reflection & { parent?: Reflection };
}

const kinds = { variable: 32, function: 64, class: 128, interface: 256, constructor: 512, alias: 2097152 };

const line = (text: string) => text.replace(/\s*\n\s*/g, " ").trim();
const said = (parts: readonly Part[] = []) =>
  parts.map(({ kind, text }) => (kind === "inline-tag" ? `\`${text}\`` : text)).join("");
const tagged = (comment: Comment | undefined, tag: string) =>
  (comment?.blockTags ?? []).filter((one) => one.tag === tag).map(({ content }) => line(said(content)));

function parametersOf(signature: Reflection): string {
  const shown = (signature.parameters ?? []).map(
    ({ name, type, flags }) =>
      `${flags.isRest ? "..." : ""}${name === "__namedParameters" ? "options" : name}${flags.isOptional ? "?" : ""}: ${typeOf(type)}`,
  );
  const inline = `(${shown.join(", ")})`;
  return inline.length < 80 ? inline : `(\n${shown.map((one) => `  ${one},\n`).join("")})`;
}

function typeOf(type: Type | undefined): string {
  const members = type?.declaration;
  // What typed arrays lie in is of no concern here.
  if (!members) return type ? String(type).replaceAll("<ArrayBufferLike>", "") : "unknown";
  const call = members.signatures?.[0];
  if (call) return `${parametersOf(call)} => ${typeOf(call.type)}`;
  const fields = (members.children ?? []).map(
    ({ name, type: own, flags }) => `${name}${flags.isOptional ? "?" : ""}: ${typeOf(own)}`,
  );
  return fields.length > 0 ? `{ ${fields.join("; ")} }` : String(type);
}

const generics = ({ typeParameters }: Reflection) =>
  typeParameters?.length ? `<${typeParameters.map(({ name }) => name).join(", ")}>` : "";

const callOf = (signature: Reflection, name: string) =>
  `${name}${generics(signature)}${parametersOf(signature)}: ${typeOf(signature.type)}`;

const code = (text: string) => `\`\`\`ts\n${text}\n\`\`\``;

/** A comment's words, what each parameter is, and what is returned, thrown and read more of. */
function wordsOf(comment: Comment | undefined, parameters: readonly Reflection[] = []): string[] {
  const list = parameters.flatMap(({ name, comment: own }) => {
    const text = line(said(own?.summary));
    return text ? [`- \`${name === "__namedParameters" ? "options" : name}\`: ${text}`] : [];
  });
  const labels = { "@returns": "Returns", "@throws": "Throws", "@see": "See" };
  const rest = Object.entries(labels).flatMap(([tag, label]) =>
    tagged(comment, tag).map((text) => `- ${label}: ${text}`),
  );
  return [said(comment?.summary).trim(), [...list, ...rest].join("\n")].filter((text) => text !== "");
}

/** Properties and methods of a class or an interface, a line each. */
function membersOf({ children = [] }: Reflection): string {
  return children
    .filter(({ inheritedFrom, name }) => !inheritedFrom && !name.startsWith("["))
    .map((member) => {
      const call = member.signatures?.[0];
      const shown = call
        ? call.kind === 16384
          ? `new${parametersOf(call)}`
          : callOf(call, member.name)
        : `${member.name}${member.flags.isOptional ? "?" : ""}: ${typeOf(member.type)}`;
      const text = line(said((call ?? member).comment?.summary));
      return `- \`${line(shown)}\`${text ? `: ${text}` : ""}`;
    })
    .join("\n");
}

function entryOf(item: Reflection): string {
  const { name, kind, comment } = item;
  const parts: string[] = [];
  if (kind === kinds.function)
    for (const signature of item.signatures ?? [])
      parts.push(
        code(`function ${callOf(signature, name)}`),
        ...wordsOf(signature.comment, signature.parameters),
      );
  else if (kind === kinds.class || kind === kinds.interface) {
    const what = kind === kinds.class ? "class" : "interface";
    parts.push(code(`${what} ${name}${generics(item)}`), ...wordsOf(comment), membersOf(item));
  } else if (kind === kinds.alias)
    parts.push(code(`type ${name}${generics(item)} = ${typeOf(item.type)}`), ...wordsOf(comment));
  else parts.push(code(`const ${name}: ${typeOf(item.type)}`), ...wordsOf(comment));
  return [`### ${name}`, ...parts.filter((text) => text !== "")].join("\n\n");
}

/** What a room is for: its index's first comment, which declarations do not keep. */
function introOf(room: string): string {
  const path = join(packageRoot, "lib", room, "index.ts");
  const [comment = ""] = /^(?:\/\/.*\n)+/.exec(readFileSync(path, "utf8")) ?? [];
  const text = line(comment.replace(/^\/\/ ?/gm, ""));
  const own = text.replace(new RegExp(`^slimlab/${room}(?:, as cells import it)?: `), "");
  return own.charAt(0).toUpperCase() + own.slice(1);
}

const groups = [
  ["Functions", kinds.function],
  ["Classes", kinds.class],
  ["Values", kinds.variable],
  ["Types", kinds.interface, kinds.alias],
] as const;

function pageOf(room: string, exported: readonly Reflection[]): ReferencePage {
  // What is handed on from another file or room is what it is there.
  const all = exported.map((item) => item.getTargetReflectionDeep?.() ?? item);
  const example = join(packageRoot, "test", "examples", `${room}.ts`);
  const sections = groups.flatMap(([title, ...of]) => {
    const own = all
      .filter(({ kind }) => (of as readonly number[]).includes(kind))
      .sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
    return own.length > 0 ? [`## ${title}`, ...own.map(entryOf)] : [];
  });
  const markdown = [
    `# slimlab/${room}`,
    introOf(room),
    ...(existsSync(example) ? ["## Example", code(readFileSync(example, "utf8").trim())] : []),
    ...sections,
  ].join("\n\n");
  return { slug: `api-${room}`, language: "en", title: `slimlab/${room}`, markdown };
}

const [settings, ...rooms] = process.argv.slice(2);
const name = "typedoc";
const { Application } = await import(name);
const app = await Application.bootstrap({
  entryPoints: rooms.map((room) => join(packageRoot, "dist", "lib", room, "index.d.ts")),
  tsconfig: settings,
  logLevel: "None",
  readme: "none",
  ...{ skipErrorChecking: true, excludeExternals: true, excludePrivate: true },
  ...{ disableGit: true, disableSources: true },
});
const project: Reflection | undefined = await app.convert();
if (!project?.children) throw new Error("TypeDoc has made nothing of the declarations");
const modules = new Map(project.children.map((one) => [one.name.split("/").at(-1), one]));
const pages = rooms.map((room) => pageOf(room, (modules.get(room) ?? project).children ?? []));
const roomsAt = (way: string) =>
  rooms.map((room) => `- [slimlab/${room}](${way}api-${room}.html): ${introOf(room)}`).join("\n");
const index: ReferencePage[] = [
  {
    slug: "api",
    language: "en",
    title: "API reference",
    markdown: `# API reference\n\nWhat each room of the library gives, by TypeDoc from its comments. The search finds every name.\n\n${roomsAt("")}`,
  },
  {
    slug: "api",
    language: "zh",
    title: "API 参考",
    markdown: `# API 参考\n\n库的每个模块提供什么，由 TypeDoc 从注释生成，内容为英文。\n\n${roomsAt("../")}`,
  },
];
process.stdout.write(JSON.stringify([...index, ...pages]));
