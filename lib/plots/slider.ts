// A control that the reader moves: figures worked out beforehand, one for each position. It is Plotly's own slider, so it
// works in JupyterLab and in the static book alike, with no kernel behind it.
import { checkInteger, checkLength, shown } from "../util/check.ts";
import { Figure } from "./figure.ts";
import type { PlotOptions } from "./options.ts";
import type { PlotlyLayout, PlotlyTrace } from "./plotly.ts";
import { axisOf, type NumberSpan, spanOf } from "./ranges.ts";
import { wrapTitle } from "./text.ts";
import { ink } from "./theme.ts";

/** Options of {@link slider}. */
export interface SliderOptions extends Pick<PlotOptions, "title" | "alt" | "height"> {
  /** What the reader moves, with its unit: `threshold`, `bits`. */
  label: string;
  /** The value at each figure, as shown. */
  values: ArrayLike<number | string>;
  /** Which figure is shown first. */
  start?: number;
}

/**
 * One figure with a slider from figures of the same kind. All positions share their axes, so that what moves is the data.
 * Without `title`, each figure brings its own.
 *
 * @param figures one for each value, made by the same plot
 * @throws RangeError where figures and values differ in number, or there are none
 */
export function slider(figures: Figure[], options: SliderOptions): Figure {
  if (!Array.isArray(figures) || figures.length === 0) {
    throw new RangeError(`figures must be an array of at least one figure, got ${shown(figures)}`);
  }
  checkLength("values", options.values, figures.length);
  const start = checkInteger("start", options.start ?? 0, 0, figures.length - 1);

  // Every position's traces are in the data; a step makes its own visible. No animation frames: hosts that show
  // Plotly JSON need not know them.
  const owner = figures.flatMap((figure, index) => figure.data.map(() => index));
  const data = figures.flatMap((figure, index) =>
    figure.data.map((trace): PlotlyTrace => ({ ...trace, visible: index === start })),
  );
  const titled = options.title === undefined;
  const layout: PlotlyLayout = structuredClone(figures[start].layout);
  if (!titled) (layout.title as PlotlyLayout).text = wrapTitle(options.title!).join("<br>");
  shareAxes(figures, layout);
  const values = Array.from(options.values, (value) =>
    typeof value === "number" ? String(Number(value.toPrecision(4))) : value,
  );
  const height = options.height ?? (layout.height as number) + 90;
  Object.assign(layout, {
    height: checkInteger("height", height, 120, 2000),
    margin: { ...(layout.margin as object), b: 130 },
    meta: {
      alt:
        options.alt ??
        `${options.title ?? figures[start].alt}. A slider sets ${options.label} from ${values[0]} to ${values.at(-1)}`,
    },
    sliders: [
      {
        active: start,
        pad: { t: 50 },
        currentvalue: { prefix: `${options.label}: `, font: { color: ink } },
        ...{ bordercolor: ink, tickcolor: ink, font: { color: ink } },
        steps: figures.map((figure, index) => ({
          label: values[index],
          method: "update",
          args: [
            { visible: owner.map((own) => own === index) },
            {
              ...(titled && { "title.text": (figure.layout.title as { text: string }).text }),
              ...(figures.some((other) => other.layout.shapes) && { shapes: figure.layout.shapes ?? [] }),
            },
          ],
        })),
      },
    ],
  });
  return new Figure(data, layout);
}

/** Gives each numeric axis the range that holds all figures, where the author gave none. */
function shareAxes(figures: Figure[], layout: PlotlyLayout): void {
  for (const key of Object.keys(layout)) {
    const id = /^([xy])axis(\d*)$/.exec(key)?.slice(1).join("");
    if (!id) continue;
    const axis = axisOf(layout, id);
    if (axis.range || axis.matches) continue;
    const spans = figures.map((figure) => spanOf(figure.data, figure.layout, id));
    if (spans.some((span) => span.names)) continue;
    const ranges = (spans as NumberSpan[]).map((span) => span.range);
    const low = Math.min(...ranges.map((range) => range[0]));
    const high = Math.max(...ranges.map((range) => range[1]));
    axis.range = axis.autorange === "reversed" ? [high, low] : [low, high];
    if (axis.autorange) delete axis.autorange;
  }
}
