// Numbers in, a figure out. All plots have one shape: plot(data, options), the defaults on top, errors that name the option.
export { type Amounts, type BarsOptions, bars } from "./bars.ts";
export { Figure } from "./figure.ts";
export { type HeatmapOptions, heatmap } from "./heatmap.ts";
export { type HistogramOptions, histogram } from "./histogram.ts";
export { type ImagesOptions, images } from "./images.ts";
export { type Line, type LinesOptions, lines } from "./lines.ts";
export type { AxisOptions, PlotOptions, Reference } from "./options.ts";
export type { Datum, PlotlyLayout, PlotlyTrace } from "./plotly.ts";
export { type Point, type ScatterOptions, scatter } from "./scatter.ts";
export { type SliderOptions, slider } from "./slider.ts";
export { type SpectrumOptions, spectrum } from "./spectrum.ts";
export {
  type Middle,
  middles,
  type Samples,
  type Spread,
  type Summary,
  spreads,
  summarize,
} from "./summary.ts";
export { renderSvg } from "./svg.ts";
export { Table, type TableCell, type TableOptions, table } from "./table.ts";
export { palette, scales } from "./theme.ts";
