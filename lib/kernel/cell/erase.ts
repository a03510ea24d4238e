// Takes types out of a cell by taking their text away, for the TypeScript whose JavaScript is what remains then.
// That is most cells, and saves them a round trip to esbuild. Enums, namespaces with values, parameter properties and
// `<T>x` need a compiler.
import type { Edit } from "./edits.ts";
import { hasValues, isDeclare, isFunction, type Node, type Of } from "./tree.ts";

type Member = Of<
  "ClassProperty" | "ClassPrivateProperty" | "ClassAccessorProperty" | "ClassMethod" | "ClassPrivateMethod"
>;

export class TypeEraser {
  readonly edits: Edit[] = [];
  /** There are types, but taking their text away is not enough. */
  needsCompiler = false;
  /** There are types. */
  found = false;
  /** Places where something closes behind a value, so that nothing can go on with it. */
  readonly closed = new Set<number>();
  readonly #source: string;
  /** Types whose text goes with what is around them. */
  readonly #taken = new Set<Node>();
  /** How many of the nodes around have their whole text taken away. */
  #gone = 0;

  constructor(source: string) {
    this.#source = source;
  }

  /** Call on the way into each node; the answer goes to `leave`. */
  enter(node: Node): boolean {
    if (this.#gone > 0) {
      this.#gone++;
      return true;
    }
    if (!this.#erase(node)) return false;
    this.#gone = 1;
    return true;
  }

  leave(entered: boolean): void {
    if (entered) this.#gone--;
  }

  /** Notes what goes of a node; true when all of it does. */
  #erase(node: Node): boolean {
    if (this.#taken.has(node)) return true;
    switch (node.type) {
      case "TSTypeAnnotation":
      case "TSTypeParameterDeclaration":
      case "TSTypeParameterInstantiation":
        // White space before it goes too: an arrow must stand on the line of its parameters' parenthesis.
        this.#remove(this.#before(node.start), node.end);
        return true;
      case "TSAsExpression":
      case "TSSatisfiesExpression":
        this.#assertion(node);
        return false;
      case "TSNonNullExpression":
        this.#remove(node.end - 1, node.end);
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
        this.#remove(node.start, node.end, ";");
        return true;
      case "TSExpressionWithTypeArguments":
        return true; // The class takes the whole clause away.
      case "Identifier":
        if (node.optional) this.#removeSign("?", node.start + node.name.length);
        return false;
      case "VariableDeclarator":
        if (node.definite && node.id.type === "Identifier")
          this.#removeSign("!", node.id.start + node.id.name.length);
        return false;
      case "ClassProperty":
      case "ClassPrivateProperty":
      case "ClassAccessorProperty":
      case "ClassMethod":
      case "ClassPrivateMethod":
        return this.#member(node);
      case "ClassDeclaration":
      case "ClassExpression":
        if (isDeclare(node)) break;
        this.#class(node);
        return false;
    }
    if (isDeclare(node) || (node.type === "TSModuleDeclaration" && !hasValues(node))) {
      this.#remove(node.start, node.end, ";");
      return true;
    }
    if (node.type.startsWith("TS")) {
      this.found = true;
      this.needsCompiler = true;
    }
    if (isFunction(node)) this.#removeThis(node.params);
    return false;
  }

  /** `x as T`, `x satisfies T`. */
  #assertion(node: Of<"TSAsExpression" | "TSSatisfiesExpression">): void {
    const word = node.type === "TSAsExpression" ? "as" : "satisfies";
    const at = this.#source.lastIndexOf(word, node.typeAnnotation.start - 1);
    // After a type, `(`, `[` and a template start a statement; after a value they would go on with it.
    const starts =
      !this.closed.has(node.end) && /^\s*\n\s*[([`]/.test(this.#source.slice(node.end, node.end + 200));
    this.#remove(at, node.end, starts ? ";" : "");
    this.#taken.add(node.typeAnnotation);
  }

  #class(node: Of<"ClassDeclaration" | "ClassExpression">): void {
    if ("abstract" in node && node.abstract) this.#removeWord("abstract", node.start, node.body.start);
    const first = node.implements?.at(0);
    const last = node.implements?.at(-1);
    if (first && last) this.#remove(this.#source.lastIndexOf("implements", first.start), last.end);
  }

  #member(node: Member): boolean {
    if (("abstract" in node && node.abstract) || isDeclare(node)) {
      this.#remove(node.start, node.end, ";");
      return true;
    }
    const { key } = node;
    const has = (name: string) => name in node && node[name as keyof Member] === true;
    const words = ["accessibility" in node && node.accessibility, has("override") && "override"];
    words.push(has("readonly") && "readonly");
    const first = node.decorators?.at(-1)?.end ?? node.start;
    for (const word of words) {
      // A line that begins with what a modifier stood before (`*`, `[`, `(`, `in`) would go on with the field above it.
      if (word) this.#removeWord(word, first, key.start, ";");
    }
    if (has("optional")) this.#removeSign("?", key.end);
    if (has("definite")) this.#removeSign("!", key.end);
    if ("value" in node && !node.value && node.typeAnnotation) {
      // A field named `get`, or one above a line that starts with `[`, must not run on.
      this.#remove(node.typeAnnotation.start, node.typeAnnotation.end, ";");
    }
    if ("params" in node) this.#removeThis(node.params);
    return false;
  }

  /** The first parameter when it says only what `this` is. */
  #removeThis(params: Node[]): void {
    const [first, second] = params;
    if (first?.type !== "Identifier" || first.name !== "this") return;
    const end = second?.start ?? first.end;
    const comma = /^\s*,/.exec(this.#source.slice(end));
    this.#remove(first.start, end + (second ? 0 : (comma?.[0].length ?? 0)));
  }

  /** Takes a word away; `text` stands for it where it is the first. */
  #removeWord(word: string, from: number, to: number, text = ""): void {
    const at = this.#source.slice(from, to).search(new RegExp(`\\b${word}\\b`));
    if (at < 0) return;
    const isFirst = this.#source.slice(from, from + at).trim() === "";
    this.#remove(from + at, from + at + word.length, isFirst ? text : "");
  }

  #removeSign(sign: string, from: number): void {
    const at = this.#source.indexOf(sign, from);
    this.#remove(at, at + 1);
  }

  #remove(start: number, end: number, text = ""): void {
    this.found = true;
    this.edits.push({ start, end, text });
  }

  #before(at: number): number {
    while (at > 0 && this.#source.charCodeAt(at - 1) <= 32) at--;
    return at;
  }
}
