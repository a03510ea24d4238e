// The names that a cell declares, beside those of earlier cells: which V8 has under another name, which the first line
// declares, which are constant, and which are what a module's export is now.
import type { Declared, DeclaredKind } from "./code.ts";
import { type CellNames, isTaken, ownName } from "./names.ts";
import { declarationOf, type Identifier, type Node, type Statement } from "./tree.ts";

export class OwnNames {
  readonly declared: Declared[] = [];
  /** Names that the cell exports as they are. */
  readonly exported = new Set<string>();
  /** Top-level statements, and what stands behind `export`. */
  readonly statements: ReadonlySet<Node>;
  readonly classes: ReadonlySet<string>;
  readonly #earlier: CellNames | undefined;
  readonly #names = new Map<string, Declared>();
  /** Names that the first line declares, or where false, that an earlier cell has and that keep their value. */
  readonly #hoisted = new Map<string, boolean>();

  constructor(body: readonly Statement[], earlier: CellNames | undefined) {
    this.#earlier = earlier;
    this.statements = new Set(body.flatMap((each) => [each, declarationOf(each)]));
    const classes = [...this.statements].flatMap((each) =>
      each.type === "ClassDeclaration" && each.id ? [each.id.name] : [],
    );
    this.classes = new Set(classes);
  }

  get(name: string): Declared | undefined {
    return this.#names.get(name);
  }
  has(name: string): boolean {
    return this.#names.has(name);
  }
  all(): Iterable<Declared> {
    return this.#names.values();
  }

  declare(id: Identifier, kind: DeclaredKind, meaning: { value?: boolean; type?: boolean }): void {
    const known = this.#names.get(id.name);
    const places = this.#placesOf(id, kind);
    if (known) {
      known.places.push(...places);
      // Merged declarations (an interface and a class, overloads): one name with both meanings.
      known.value ||= meaning.value ?? false;
      known.type ||= meaning.type ?? false;
      if (known.kind === "interface" || known.kind === "type" || known.kind === "namespace")
        known.kind = kind;
      return;
    }
    const declared = {
      ...declaredAs(id, kind),
      value: meaning.value ?? false,
      type: meaning.type ?? false,
      places,
      adds: kind === "interface" && this.#earlier?.kind(id.name) === "class",
    };
    this.#names.set(id.name, declared);
    this.declared.push(declared);
  }

  /** A name that is gone when the cell ends: no later cell can name it, but this one declares it. */
  declareUntilEnd(id: Identifier, kind: DeclaredKind): void {
    this.#names.set(id.name, declaredAs(id, kind));
  }

  /** The first line declares a name; `keeps`: unless an earlier cell has it, whose value stays. */
  hoist(name: string, keeps = false): void {
    const isImport = this.#earlier?.exportOf(name) !== undefined;
    const isKept =
      keeps && !this.#hoisted.get(name) && !isImport && (this.#earlier?.isInitialized(name) ?? false);
    this.#hoisted.set(name, !isKept);
  }

  /** The names, as V8 has them, that must be there, undefined, before the cell runs. */
  get reset(): string[] {
    return [...this.#hoisted].flatMap(([name, isNew]) => (isNew ? [this.inV8(name)] : []));
  }
  /** Names that have a value when the first statement begins. */
  get initialized(): string[] {
    return [...this.#hoisted.keys()];
  }

  inV8(name: string): string {
    return this.isRenamed(name) ? ownName(name) : name;
  }
  isRenamed(name: string): boolean {
    const own = this.#names.get(name);
    return own?.value ? isTaken(own, this.#earlier?.globals) : (this.#earlier?.isRenamed(name) ?? false);
  }
  isConstant(name: string): boolean {
    const own = this.#names.get(name);
    const kind = own?.value ? own.kind : this.#earlier?.kind(name);
    return kind === "const" || kind === "import";
  }
  /** The export of one's own module that a name is. */
  exportOf(name: string): string | undefined {
    const own = this.#names.get(name);
    return own?.value ? own.live : this.#earlier?.exportOf(name);
  }

  /** Where the top-level declaration of a name stands, of a kind that more can be added to. */
  #placesOf({ start, end }: Identifier, kind: DeclaredKind): [number, number][] {
    if (!/^(class|interface|enum|namespace|function)$/.test(kind)) return [];
    for (const each of this.statements)
      if (each.start <= start && end <= each.end && !/^Export/.test(each.type))
        return [[each.start, each.end]];
    return [];
  }
}

function declaredAs({ name, start }: Identifier, kind: DeclaredKind): Declared {
  return { name, kind, value: true, type: false, exported: false, start, places: [], adds: false };
}
