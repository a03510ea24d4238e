// What the book's scripts build pages of.

/** An element with properties and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** An input that slides, with its value in words; `onMove` is called once a frame at most. */
export function range(
  { min, max, step = 1, value }: { min: number; max: number; step?: number; value: number },
  write: (value: number) => string,
  onMove: (value: number) => void,
): { input: HTMLInputElement; output: HTMLOutputElement } {
  const input = make("input", { type: "range" });
  // The value last: it is held against the others.
  Object.assign(input, { min: String(min), max: String(max), step: String(step), value: String(value) });
  const output = make("output");
  const show = () => {
    output.textContent = write(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  let waiting = false;
  input.addEventListener("input", () => {
    show();
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      onMove(Number(input.value));
    });
  });
  show();
  return { input, output };
}
