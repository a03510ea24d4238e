// A picture that follows its controls: the shortest way from a function to something that a reader can move.
import { display as showing } from "../util/display.ts";
import { VBox } from "./boxes.ts";
import type { ValueChange } from "./controls.ts";
import type { Stop, Widget } from "./widget.ts";

/** A widget with a value. */
export type ValueControl<T = unknown> = Widget<never> & {
  value: T;
  onChange(listener: (change: ValueChange<T>) => unknown): Stop;
};

/** By the controls' names, the type of each one's value. */
// biome-ignore lint/suspicious/noExplicitAny: a control of any value fits, and infer gets it back.
export type ValuesOf<C extends Record<string, ValueControl<any>>> = {
  [name in keyof C]: C[name] extends { value: infer T } ? T : never;
};

type Display = (
  value: unknown,
  options?: { raw?: boolean },
) => { update(value: unknown, options?: { raw?: boolean }): void };

/**
 * Shows controls and below them what `draw` returns for their values; when one moves, the picture is drawn anew in its
 * place, without running a cell. While a drawing takes long, values in between are left out and the last is drawn.
 *
 * @param controls by name: `{ sparsity: new FloatSlider() }`
 * @param draw from the values by name to anything that a cell can show; may be async
 * @returns a function that takes the controls' hands off the picture
 */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export async function interact<C extends Record<string, ValueControl<any>>>(
  controls: C,
  draw: (values: ValuesOf<C>) => unknown,
): Promise<Stop> {
  const { display } = globalThis as unknown as { display?: Display };
  if (!display)
    throw new Error("interact() shows things in a notebook: this program does not run in the slimlab kernel");
  const values = () =>
    Object.fromEntries(Object.entries(controls).map(([name, { value }]) => [name, value])) as ValuesOf<C>;
  const first = await draw(values());
  display(new VBox(Object.values(controls)));
  const picture = display(first);
  let drawing: Promise<void> | undefined;
  let stale = false;
  const redraw = async () => {
    do {
      stale = false;
      try {
        picture.update(await draw(values()));
      } catch (error) {
        // The reader moved a control and looks at the picture: that is where the error belongs.
        const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
        picture.update({ "application/vnd.jupyter.stderr": text, "text/plain": text }, { raw: true });
      }
    } while (stale);
    drawing = undefined;
  };
  const stops = Object.values(controls).map((control) =>
    control.onChange(() => {
      stale = true;
      drawing ??= redraw();
      return drawing;
    }),
  );
  const stop = () => {
    for (const each of stops) each();
  };
  // As a cell's last value it shows nothing: the picture is there.
  return Object.assign(stop, { [showing]: () => null });
}
