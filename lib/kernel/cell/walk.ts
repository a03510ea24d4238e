// What can stand anywhere in a cell: names, `import()`, `import.meta`, waits, nested `var`s, types. One walk through the tree.
import { goName } from "../../util/turn.ts";
import { variablesAsAssignment } from "./declarations.ts";
import type { Draft } from "./draft.ts";
import { lexicalNames } from "./scope.ts";
import {
  boundNames,
  contains,
  eachChild,
  isFunction,
  isNode,
  isUsing,
  type Node,
  namesOf,
  type Of,
} from "./tree.ts";
import { importFunction, metaName, setterOf, thrownMarks } from "./words.ts";

type Loop = Of<"ForStatement" | "ForInStatement" | "ForOfStatement" | "WhileStatement" | "DoWhileStatement">;

export class Walker {
  /** See `CellCode`. */
  readonly deferred: [start: number, end: number][] = [];
  readonly jsxPlaces: [start: number, end: number][] = [];
  readonly #cell: Draft;
  /** Declarations in the heads of loops, which have no semicolon of their own. */
  readonly #loopHeads = new Set<Node>();
  readonly #resourceLoops = new Set<Node>();
  /** Where braces close that open before a loop's only statement; what ends at the same place closes first. */
  readonly #loopEnds: number[] = [];
  /** Names that blocks around declare, where JavaScript lets a function out of its block. */
  readonly #blocks: Set<string>[] = [];

  constructor(cell: Draft) {
    this.#cell = cell;
  }

  walkAll(): void {
    for (const statement of this.#cell.tree.body) this.#walk(statement, true);
    for (const at of this.#loopEnds) this.#cell.insert(at, "}");
  }

  /** `top`: not within a function, a class or a namespace. */
  #walk(node: Node, top: boolean): void {
    const { types } = this.#cell;
    const erased = types.enter(node);
    this.#visit(node, top);
    types.leave(erased);
  }

  #visit(node: Node, top: boolean): void {
    const cell = this.#cell;
    switch (node.type) {
      case "JSXElement":
      case "JSXFragment":
        if (!(node.start < (this.jsxPlaces.at(-1)?.[1] ?? 0))) this.jsxPlaces.push([node.start, node.end]);
        break;
      case "Identifier":
      case "JSXIdentifier":
        cell.references.add(node.name);
        break;
      case "MemberExpression":
      case "OptionalMemberExpression":
        this.#walk(node.object, top);
        if (node.computed) this.#walk(node.property, top);
        return;
      case "ObjectProperty":
      case "ClassProperty":
      case "ClassAccessorProperty":
      case "ObjectMethod":
      case "ClassMethod":
      case "TSDeclareMethod":
      case "TSPropertySignature":
      case "TSMethodSignature":
        if (isFunction(node)) this.#defer(node);
        if (node.type === "ClassProperty" && !node.static && node.value) this.#defer(node.value);
        eachChild(node, (child, key) => {
          if (key !== "key" || ("computed" in node && node.computed))
            this.#walk(child, top && node.type === "ObjectProperty");
        });
        return;
      case "TSQualifiedName":
        this.#walk(node.left, top);
        return;
      case "TSInterfaceDeclaration":
      case "TSTypeAliasDeclaration":
        // Types are looked at when they are used.
        this.#defer(node);
        break;
      case "TSEnumMember":
        if (node.initializer) this.#walk(node.initializer, top);
        return;
      case "LabeledStatement":
        if (node.body.type === "ForStatement") this.#resourceLoop(node.body, node);
        this.#walk(node.body, top);
        return;
      case "ForStatement":
        if (node.init) this.#loopHeads.add(node.init);
        this.#resourceLoop(node);
        this.#loop(node);
        break;
      case "ForInStatement":
      case "ForOfStatement":
        this.#loopHeads.add(node.left);
        this.#assigns(node.left);
        this.#loop(node);
        break;
      case "AssignmentExpression":
        this.#assigns(node.left);
        break;
      case "UpdateExpression":
        this.#assigns(node.argument);
        break;
      case "WhileStatement":
      case "DoWhileStatement":
        this.#loop(node);
        break;
      case "AwaitExpression":
        if (top) {
          cell.insert(node.start, `${goName}(`);
          cell.insert(node.end, ")");
        }
        break;
      case "BreakStatement":
      case "ContinueStatement":
      case "ImportDeclaration":
        return;
      case "TSImportEqualsDeclaration":
        if (node.moduleReference.type !== "TSExternalModuleReference") this.#walk(node.moduleReference, top);
        return;
      case "ExportNamedDeclaration":
        if (node.source) return;
        break;
      case "ImportExpression":
        cell.replace(node.start, node.start + "import".length, importFunction);
        break;
      case "CallExpression":
        if (node.callee.type === "Import") {
          cell.replace(node.callee.start, node.callee.end, importFunction);
          for (const each of node.arguments) this.#walk(each, top);
          return;
        }
        break;
      case "MetaProperty":
        if (node.meta.name === "import") cell.replace(node.start, node.end, metaName);
        return;
      case "ThrowStatement":
        if (node.argument.type !== "NewExpression") {
          cell.insert(node.argument.start, thrownMarks[0]);
          cell.insert(node.argument.end, thrownMarks[1]);
        }
        break;
      case "VariableDeclaration":
        if (top && node.kind === "var" && !cell.names.statements.has(node)) this.#nestedVar(node);
        break;
      case "IfStatement":
        if (top && !cell.isStrict) for (const each of [node.consequent, node.alternate]) this.#braced(each);
        break;
      case "FunctionDeclaration":
        if (top && !cell.isStrict && !cell.names.statements.has(node)) this.#blockFunction(node);
        break;
    }
    if (isFunction(node)) this.#defer(node);
    const isBlock = !cell.isStrict && top && /^(BlockStatement|SwitchStatement|For\w*)$/.test(node.type);
    if (isBlock) this.#blocks.push(blockNames(node));
    const inside = top && !/Function|Class|^TSModule|Method/.test(node.type);
    eachChild(node, (child) => this.#walk(child, inside));
    if (isBlock) this.#blocks.pop();
  }

  /**
   * A loop that waits ends when its cell is interrupted, also where it catches errors, and inside functions, by a name
   * that may be missing: a function's writer may send it elsewhere as text.
   */
  #loop(node: Loop): void {
    const cell = this.#cell;
    const isForAwait = node.type === "ForOfStatement" && node.await;
    if (!isForAwait && !contains(node, (each) => each.type === "AwaitExpression", isFunction)) return;
    const { body } = node;
    const check = `globalThis.${goName}?.();`;
    if (body.type === "BlockStatement") cell.insert(body.start + 1, check);
    else {
      cell.insert(body.start, `{${check}`);
      this.#loopEnds.push(body.end);
    }
  }

  /** Code that runs when it is called, and not when the cell comes to it. */
  #defer({ start, end }: Node): void {
    if (!(start < (this.deferred.at(-1)?.[1] ?? 0))) this.deferred.push([start, end]);
  }

  /** Notes what is assigned to. */
  #assigns(target: Node): void {
    const cell = this.#cell;
    if (target.type === "VariableDeclaration") return;
    while ("expression" in target && isNode(target.expression)) target = target.expression;
    for (const { name } of boundNames(target)) cell.assigned.add(name);
  }

  /** `if (x) function f() {}`, which scripts that are not strict may say, is as if the function stood in a block. */
  #braced(node: Node | null | undefined): void {
    const cell = this.#cell;
    if (node?.type !== "FunctionDeclaration") return;
    cell.insert(node.start, "{ ");
    this.#loopEnds.push(node.end);
  }

  /** `for (using x = …; …; …)`: the resource belongs to a block around the loop. */
  #resourceLoop(node: Of<"ForStatement">, label?: Of<"LabeledStatement">): void {
    const cell = this.#cell;
    const { init } = node;
    if (!init || !isUsing(init) || this.#loopHeads.has(init) !== (label === undefined)) return;
    if (label) {
      this.#loopHeads.add(init);
      cell.insert(label.start, `{ ${cell.text(init)}; `);
      cell.replace(init.start, init.end, "");
    } else if (!this.#resourceLoops.has(node)) {
      cell.replace(node.start, init.start, "{ ");
      cell.insert(init.end, "; for (");
    } else return;
    this.#resourceLoops.add(node);
    this.#loopEnds.push(node.end);
  }

  /** A `var` inside a block or a loop's head belongs to the cell. */
  #nestedVar(node: Of<"VariableDeclaration">): void {
    const cell = this.#cell;
    const names = namesOf(node);
    for (const id of names) {
      cell.names.declare(id, "var", { value: true });
      cell.names.hoist(id.name, true);
    }
    variablesAsAssignment(cell, node, !this.#loopHeads.has(node));
  }

  /**
   * Outside of strict mode a function in a block is the whole cell's too, from when the block comes to it, unless that
   * would be in the way of another name. V8 would declare it as a `var`, which no later cell could declare anew.
   */
  #blockFunction(node: Of<"FunctionDeclaration">): void {
    const cell = this.#cell;
    const { id } = node;
    if (!id || node.async || node.generator) return;
    const known = cell.names.get(id.name);
    if (known && known.kind !== "var" && known.kind !== "function") return;
    if (this.#blocks.slice(0, -1).some((names) => names.has(id.name))) return;
    if (!known) cell.names.declare(id, "function", { value: true });
    cell.names.hoist(id.name, true);
    cell.blockFunctions.add(id.name);
    cell.insert(node.end, ` ${setterOf(id.name)}(${id.name});`);
  }
}

function blockNames(node: Node): Set<string> {
  if (node.type === "BlockStatement") return lexicalNames(node.body);
  if (node.type === "SwitchStatement") return lexicalNames(node.cases.flatMap((each) => each.consequent));
  const head = "init" in node ? node.init : "left" in node ? node.left : undefined;
  return isNode(head) ? lexicalNames([head]) : new Set();
}
