// What the panel of variables shows: V8's objects kept by reference, their properties as lines, a part at a time.
import type { Content } from "../protocol/messages.ts";
import { objectPart, type Remote, valueText } from "./values.ts";

/** Children of one value that are shown at once. */
const mostChildren = 100;

export interface Property {
  name: string;
  value?: Remote;
  get?: Remote;
  enumerable?: boolean;
}

/** What a variables reference leads to: objects whose properties show as one list, inner ones first. */
export interface Shelf {
  objects: Remote[];
  /** Properties that are no object's: `this`. */
  more: Property[];
}

/** An expression for an object with the values of names. A name whose declaration has failed cannot be looked at. */
export function reading(names: string[]): string {
  const reads = names.map((name) => `try { all[${JSON.stringify(name)}] = ${name} } catch {}`);
  return `(() => { const all = Object.create(null); ${reads.join(";")}; return all })()`;
}

// biome-ignore lint/suspicious/noExplicitAny: the inspector's answers, each of its own shape.
type Call = (method: string, params?: object) => Promise<any>;

/** What the panel has been shown, by the references that it was given. */
export class Variables {
  /** JupyterLab shows a variable's value only if it has no type, or one of Python's. */
  tellTypes = true;
  readonly #call: Call;
  readonly #shelves = new Map<number, Shelf>();
  #shelfIds = 0;

  constructor(call: Call) {
    this.#call = call;
  }

  clear(): void {
    this.#shelves.clear();
  }

  /** The children of a reference, as the protocol's `variables` wants them. */
  async children(args: Content): Promise<Content> {
    const shelf = this.#shelves.get(Number(args.variablesReference));
    if (!shelf) return { variables: [] };
    const start = Number(args.start ?? 0);
    const count = Number(args.count || mostChildren);
    const names = new Map<string, Content>();
    for (const property of shelf.more) names.set(property.name, this.line(property));
    for (const object of shelf.objects) {
      // What V8 has let go of meanwhile has nothing to show.
      for (const property of await this.#properties(object, start, count).catch(() => [])) {
        if (names.has(property.name) || property.name.startsWith("__slimlab")) continue;
        // A name that Node has too is another one to V8: see ownName in transform.ts.
        names.set(property.name, this.line({ ...property, name: property.name.replace(/\u200d$/, "") }));
      }
    }
    return { variables: [...names.values()] };
  }

  async #properties(object: Remote, start: number, count: number): Promise<Property[]> {
    let { objectId } = object;
    const isLarge = ["array", "typedarray", "map", "set"].includes(object.subtype ?? "");
    let rest = 0;
    if (isLarge) {
      // A tensor's data has millions of numbers: V8 is asked for a part.
      const { result } = await this.#call("Runtime.callFunctionOn", {
        objectId,
        functionDeclaration: String(objectPart),
        arguments: [{ value: start }, { value: count }],
        silent: true,
      });
      objectId = result.objectId;
    }
    const found = await this.#call("Runtime.getProperties", {
      objectId,
      ownProperties: true,
      generatePreview: true,
    });
    const isFunction = object.type === "function";
    const properties: Property[] = [];
    for (const property of found.result as Property[]) {
      if (isFunction && !property.enumerable) continue;
      if (isLarge && property.name === "rest") rest = Number(property.value?.value ?? 0);
      else if (property.name !== "__proto__") properties.push(property);
    }
    properties.push(...((found.privateProperties as Property[] | undefined) ?? []));
    for (const property of (found.internalProperties as Property[] | undefined) ?? []) {
      if (/^\[\[(Promise|Target|Handler|PrimitiveValue)/.test(property.name)) properties.push(property);
    }
    if (rest > 0) properties.push({ name: "…", value: { type: "rest", description: `${rest} more` } });
    return properties;
  }

  /** One line of the panel; what can be opened gets a reference. */
  line({ name, value, get }: Property): Content {
    if (!value) {
      return {
        name,
        value: get?.type === "function" ? "(getter)" : "(not set yet)",
        variablesReference: 0,
      };
    }
    const canOpen = value.objectId !== undefined && value.type === "object";
    return {
      name,
      value: valueText(value),
      type: this.tellTypes ? (value.className ?? value.subtype ?? value.type) : undefined,
      evaluateName: name,
      variablesReference: canOpen ? this.keep({ objects: [value], more: [] }) : 0,
    };
  }

  keep(shelf: Shelf): number {
    this.#shelves.set(++this.#shelfIds, shelf);
    return this.#shelfIds;
  }
}
