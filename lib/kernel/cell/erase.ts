// Takes types out of a cell by taking their text away, for the TypeScript whose JavaScript is what remains then.
// That is most cells, and saves them a round trip to esbuild. Enums, namespaces with values, parameter properties and
// `<T>x` need a compiler.
import type { Edit } from "./edits.ts";

// biome-ignore lint/suspicious/noExplicitAny: Babel's node types are a union of hundreds; one loose shape reads better here.
type Node = any;

export class TypeEraser {
  readonly edits: Edit[] = [];
  /** There are types, but taking their text away is not enough. */
  needsCompiler = false;
  /** There are types. */
  found = false;
  private readonly source: string;
  /** How many of the nodes around have their whole text taken away. */
  private gone = 0;

  constructor(source: string) {
    this.source = source;
  }

  /** Call on the way into each node; the answer goes to `leave`. */
  enter(node: Node): boolean {
    if (this.gone > 0) {
      this.gone++;
      return true;
    }
    if (!this.erase(node)) return false;
    this.gone = 1;
    return true;
  }

  leave(entered: boolean): void {
    if (entered) this.gone--;
  }

  /** Notes what goes of a node; true when all of it does. */
  private erase(node: Node): boolean {
    switch (node.type) {
      case "TSTypeAnnotation":
      case "TSTypeParameterDeclaration":
      case "TSTypeParameterInstantiation":
        // White space before it goes too: an arrow must stand on the line of its parameters' parenthesis.
        this.remove(this.before(node.start), node.end);
        return true;
      case "TSAsExpression":
      case "TSSatisfiesExpression": {
        const word = node.type === "TSAsExpression" ? "as" : "satisfies";
        const at = this.source.lastIndexOf(word, node.typeAnnotation.start - 1);
        // After a type, `(`, `[` and a template start a statement; after a value they would go on with it.
        const starts = /^\s*\n\s*[([`]/.test(this.source.slice(node.end, node.end + 200));
        this.remove(at, node.end, starts ? ";" : "");
        return false;
      }
      case "TSNonNullExpression":
        this.remove(node.end - 1, node.end);
        return false;
      case "TSInstantiationExpression":
      case "TSImportEqualsDeclaration":
      case "TSExternalModuleReference":
      case "TSExportAssignment":
      case "TSNamespaceExportDeclaration":
      case "TSQualifiedName":
        this.found = true;
        return false;
      case "Decorator":
      case "TSTypeAssertion":
        this.needsCompiler = true;
        return false;
      case "TSInterfaceDeclaration":
      case "TSTypeAliasDeclaration":
      case "TSDeclareFunction":
      case "TSDeclareMethod":
      case "TSIndexSignature":
        this.remove(node.start, node.end, ";");
        return true;
      case "TSClassImplements":
      case "TSExpressionWithTypeArguments":
      case "TSInterfaceHeritage":
        return true; // The class takes the whole clause away.
      case "Identifier":
        if (node.optional) this.removeSign("?", node.start + node.name.length);
        return false;
      case "VariableDeclarator":
        if (node.definite) this.removeSign("!", node.id.start + node.id.name.length);
        return false;
      case "ClassProperty":
      case "ClassPrivateProperty":
      case "ClassAccessorProperty":
      case "ClassMethod":
      case "ClassPrivateMethod":
        return this.member(node);
      case "ClassDeclaration":
      case "ClassExpression":
        if (node.declare) break;
        if (node.abstract) this.removeWord("abstract", node.start, node.body.start);
        if (node.implements?.length) {
          const first = node.implements[0];
          const at = this.source.lastIndexOf("implements", first.start);
          this.remove(at, node.implements.at(-1).end);
        }
        return false;
    }
    if (node.declare || (node.type === "TSModuleDeclaration" && !hasValues(node))) {
      this.remove(node.start, node.end, ";");
      return true;
    }
    if (node.type.startsWith("TS")) {
      this.found = true;
      this.needsCompiler = true;
    }
    if (node.params?.[0]?.type === "Identifier" && node.params[0].name === "this")
      this.removeThis(node.params);
    return false;
  }

  private member(node: Node): boolean {
    if (node.abstract || node.declare) {
      this.remove(node.start, node.end, ";");
      return true;
    }
    const { key } = node;
    for (const word of [node.accessibility, node.override && "override", node.readonly && "readonly"]) {
      if (word) this.removeWord(word, node.start, key.start);
    }
    if (node.optional) this.removeSign("?", key.end);
    if (node.definite) this.removeSign("!", key.end);
    if (node.typeAnnotation && !node.value) {
      // A field named `get`, or one above a line that starts with `[`, must not run on.
      this.remove(node.typeAnnotation.start, node.typeAnnotation.end, ";");
    }
    if (node.params?.[0]?.type === "Identifier" && node.params[0].name === "this")
      this.removeThis(node.params);
    return false;
  }

  private removeThis(params: Node[]): void {
    const end = params[1]?.start ?? params[0].end;
    const comma = /^\s*,/.exec(this.source.slice(end));
    this.remove(params[0].start, end + (params[1] ? 0 : (comma?.[0].length ?? 0)));
  }

  private removeWord(word: string, from: number, to: number): void {
    const at = this.source.slice(from, to).search(new RegExp(`\\b${word}\\b`));
    if (at >= 0) this.remove(from + at, from + at + word.length);
  }

  private removeSign(sign: string, from: number): void {
    const at = this.source.indexOf(sign, from);
    this.remove(at, at + 1);
  }

  private remove(start: number, end: number, text = ""): void {
    this.found = true;
    this.edits.push({ start, end, text });
  }

  private before(at: number): number {
    while (at > 0 && this.source.charCodeAt(at - 1) <= 32) at--;
    return at;
  }
}

/** A namespace that holds only types has no value. */
export function hasValues(node: Node): boolean {
  const body = node.body?.type === "TSModuleBlock" ? node.body.body : node.body ? [node.body] : [];
  return body.some((each: Node) => {
    const inner = each.declaration ?? each;
    if (inner.type === "TSModuleDeclaration") return hasValues(inner);
    return !/^TS(Interface|TypeAlias)/.test(inner.type) && !inner.declare;
  });
}
