// The part of Plotly's JSON that the plots here write, the SVG draws and sliders join.

/** One Plotly trace: only the fields that the plots here write are named. */
export interface PlotlyTrace {
  type: "bar" | "scatter" | "heatmap";
  name?: string;
  visible?: boolean;
  x?: Datum[];
  y?: Datum[];
  z?: (number | null)[][];
  x0?: number;
  dx?: number;
  y0?: number;
  dy?: number;
  xaxis?: string;
  yaxis?: string;
  [key: string]: unknown;
}

/** What stands on an axis: a number, a category's name, or null for a gap. */
export type Datum = number | string | null;

/** A Plotly layout: plain JSON. */
export type PlotlyLayout = Record<string, unknown>;

/** The title of a Plotly layout, as text on one line. */
export function plainTitle(layout: PlotlyLayout): string {
  // A number is a title too: Plotly takes it, and so did whoever wrote the file.
  const title = layout.title as { text?: string | number } | string | number | null | undefined;
  // Chinese has no space where its lines break.
  return String((typeof title === "object" ? title?.text : title) ?? "")
    .replace(
      /([\u2e80-\uffef])<br\s*\/?>(?=[\u2e80-\uffef])|([\u3000-\u303f\uff00-\uffef])<br\s*\/?>/g,
      "$1$2",
    )
    .replace(/<br\s*\/?>/g, " ");
}
