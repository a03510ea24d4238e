// The parts of live figures: a title that says the result, controls, bars, pictures.
import { make, range } from "../dom.ts";
import type { Words } from "./words.ts";

/** A slider with its value in words; `onMove` is called once a frame at most. */
export function slider(name: string, ...moved: Parameters<typeof range>): HTMLElement {
  const { input, output } = range(...moved);
  return make("label", { className: "control" }, `${name} `, output, input);
}

/** A slider for a share; `most` and `share` are whole percent. */
export function shareSlider(
  name: string,
  { most, share, words }: { most: number; share: number; words: Pick<Words, "percent"> },
  onMove: (share: number) => void,
): HTMLElement {
  const settings = { min: 0, max: most, step: 1, value: share };
  return slider(
    name,
    settings,
    (percent) => words.percent(percent / 100),
    (percent) => onMove(percent / 100),
  );
}

/** A choice among a few. */
export function choice<T extends string>(
  name: string,
  values: readonly T[],
  chosen: T,
  onChoose: (value: T) => void,
  shown?: Record<T, string>,
): HTMLElement {
  const options = values.map((value) => make("option", { value, textContent: shown?.[value] ?? value }));
  const select = make("select", {}, ...options);
  select.value = chosen;
  select.addEventListener("change", () => onChoose(select.value as T));
  return make("label", { className: "control" }, `${name} `, select);
}

/** A switch. */
export function tick(name: string, checked: boolean, onTick: (checked: boolean) => void): HTMLElement {
  const input = make("input", { type: "checkbox", checked });
  input.addEventListener("change", () => onTick(input.checked));
  return make("label", { className: "control tick" }, input, ` ${name}`);
}

/** A fact: a name, a value in words, and its share of a bar. */
export interface Bar {
  name: string;
  value: string;
  share: number;
}

/** A figure of facts, one a line. */
export class Bars {
  readonly element = make("dl", { className: "live-bars" });

  show(rows: Bar[]): void {
    this.element.replaceChildren(
      ...rows.flatMap(({ name, value, share }) => {
        const bar = make("span", { className: "live-bar" });
        bar.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
        return [make("dt", { textContent: name }), make("dd", {}, bar, make("span", { textContent: value }))];
      }),
    );
  }
}

/** A picture of numbers, dark where they are large. */
export class Picture {
  readonly element: HTMLCanvasElement;
  readonly #side: number;

  constructor(side: number, label: string) {
    this.#side = side;
    this.element = make("canvas", { width: side, height: side, className: "live-picture" });
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", label);
  }

  show(values: ArrayLike<number>, most = Math.max(...Array.from(values), 1e-9)): void {
    const pen = this.element.getContext("2d");
    if (!pen) return;
    const image = pen.createImageData(this.#side, this.#side);
    for (let i = 0; i < values.length; i++) {
      const ink = Math.max(0, Math.min(1, values[i] / most));
      image.data.set([255 * (1 - ink), 255 - 141 * ink, 255 - 77 * ink, 255], 4 * i);
    }
    pen.putImageData(image, 0, 0);
  }
}

/** The frame of a figure; its title is what a screen reader is told when it changes. */
export class Frame {
  readonly #title = make("figcaption");
  readonly element = make("figure", { className: "live-figure" });

  constructor(note: string, ...children: Node[]) {
    this.#title.setAttribute("aria-live", "polite");
    this.element.append(this.#title, ...children, make("p", { className: "live-note", textContent: note }));
  }

  title(text: string): void {
    this.#title.textContent = text;
  }
}
