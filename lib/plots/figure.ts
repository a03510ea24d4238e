// A figure is plain data for Plotly plus a way to show itself: any kernel that keeps the Jupyter.display convention
// draws it, and an SVG of our own stands in where no script runs.

import { writeFileAtomic } from "#platform";
import { display, type MimeBundle } from "../util/display.ts";
import { type PlotlyLayout, type PlotlyTrace, plainTitle } from "./plotly.ts";
import { renderSvg } from "./svg.ts";

/**
 * A figure that shows itself. `data` and `layout` are plain Plotly JSON, so a reader can change anything before showing
 * it: `figure.layout.height = 600`.
 */
export class Figure {
  readonly data: PlotlyTrace[];
  readonly layout: PlotlyLayout;

  constructor(data: PlotlyTrace[], layout: PlotlyLayout) {
    this.data = data;
    this.layout = layout;
  }

  /** The title, on one line. */
  get title(): string {
    return plainTitle(this.layout);
  }

  /** What a reader who does not see the figure is told. */
  get alt(): string {
    const meta = this.layout.meta as { alt?: string } | undefined;
    return meta?.alt ?? this.title;
  }

  /** The figure as a static picture: a complete SVG document. */
  toSvg(): string {
    return renderSvg(this.data, this.layout);
  }

  /**
   * Writes the figure to an SVG file, which every browser and word processor takes; the book's pages save PNG, too.
   *
   * @param path ends in `.svg`
   */
  async save(path: string): Promise<void> {
    if (!/\.svg$/i.test(path)) throw new RangeError(`path must end in .svg, got ${JSON.stringify(path)}`);
    await writeFileAtomic(path, this.toSvg());
  }

  /** Changes the layout in place and returns the figure. */
  with(change: (layout: PlotlyLayout) => void): this {
    change(this.layout);
    return this;
  }

  /** What Plotly's newPlot takes. */
  toJSON(): { data: PlotlyTrace[]; layout: PlotlyLayout; config: object } {
    return { data: this.data, layout: this.layout, config: { responsive: true, displaylogo: false } };
  }

  [display](): MimeBundle {
    return {
      "application/vnd.plotly.v1+json": this.toJSON(),
      "image/svg+xml": this.toSvg(),
      "text/plain": `Figure: ${this.alt}`,
    };
  }
}
