// Runs in the browser: draws `application/vnd.plotly.v1+json` in JupyterLab and Notebook 7.
import type Plotly from "plotly.js-dist";
import { ink } from "../../plots/theme.ts";
import { importPacked } from "../../util/packed.ts";
import { chartsAhead } from "./container.ts";

const mimeType = "application/vnd.plotly.v1+json";

/** What this file uses of Lumino's Widget. */
interface LuminoWidget {
  readonly node: HTMLElement;
  readonly isDisposed: boolean;
  addClass(name: string): void;
  dispose(): void;
}
export type WidgetClass = new () => LuminoWidget;

/** The part of JupyterLab's IRenderMime.IMimeModel that a renderer reads. */
interface MimeModel {
  readonly data: Readonly<Record<string, unknown>>;
}

interface PlotlyFigure {
  data?: Plotly.Data[];
  layout?: Partial<Plotly.Layout> & { meta?: { alt?: string } };
  config?: Partial<Plotly.Config>;
  frames?: object[];
}

/** Plotly's div, with the events that it adds. */
type PlotDiv = HTMLElement & { on(event: string, listener: () => void): void };

let plotly: Promise<typeof Plotly> | undefined;

/** Plotly is 4.6 MB, so it loads with the first chart and not with the Lab; a failed load is tried again. */
function loadPlotly(url: string): Promise<typeof Plotly> {
  plotly ??= importPacked<{ default: typeof Plotly }>(url).then(
    (module) => module.default,
    (error) => {
      plotly = undefined;
      throw error;
    },
  );
  return plotly;
}

/**
 * Colours that fit the Lab's theme for a figure that brings no template. A template is Plotly's weakest layer: whatever
 * the figure itself says wins.
 */
function themeTemplate(): Plotly.Template {
  const style = getComputedStyle(document.body);
  const color = style.getPropertyValue("--jp-ui-font-color1").trim() || "#444";
  const lines = "rgba(128,128,128,0.25)";
  const axis = { gridcolor: lines, zerolinecolor: "rgba(128,128,128,0.5)", linecolor: lines };
  return {
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color },
      colorway: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C8C8C"],
      xaxis: axis,
      yaxis: axis,
    },
  };
}

/** A figure of slimlab's has one grey for light and dark pages alike; where the page is known, its own colour reads better. */
function inked<T>(value: T, color: string): T {
  if (value === ink) return color as T;
  if (Array.isArray(value))
    // (Numbers by the million have no colour.)
    return (typeof value[0] === "number" ? value : value.map((each) => inked(each, color))) as T;
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, inked(each, color)])) as T;
}

/** The MIME extension, made on the Lab's own Widget class; `plotlyUrl` is an ES module, or one compressed, whose default is Plotly. */
export function plotlyRenderer(Widget: WidgetClass, plotlyUrl: string): object {
  // (What fails is told where the chart would be.)
  addEventListener(chartsAhead, () => void loadPlotly(plotlyUrl).catch(() => {}));

  class PlotlyWidget extends Widget {
    #plotly: typeof Plotly | undefined;
    #figure: PlotlyFigure = {};
    #frame = 0;
    // The output's own width matters, not the window's: side bars, split views and hidden tabs change only that.
    readonly #resize = new ResizeObserver(() => this.#fit());
    readonly #theme = new MutationObserver(() => this.#draw().catch(console.error));

    constructor() {
      super();
      this.addClass("slimlab-plotly");
      this.node.style.width = "100%";
      this.node.style.overflow = "hidden";
      this.#resize.observe(this.node);
      this.#theme.observe(document.body, { attributeFilter: ["data-jp-theme-name"] });
    }

    /** Draws a model, or redraws for `update_display_data`: Plotly then changes only what differs. */
    async renderModel(model: MimeModel): Promise<void> {
      this.#figure = model.data[mimeType] as PlotlyFigure;
      try {
        this.#plotly ??= await loadPlotly(plotlyUrl);
        await this.#draw();
      } catch (error) {
        this.node.textContent = `This chart could not be drawn: ${error instanceof Error ? error.message : error}`;
      }
    }

    async #draw(): Promise<void> {
      const Plotly = this.#plotly;
      if (!Plotly || this.isDisposed) return;
      const { data = [], layout = {}, config = {}, frames } = this.#figure;
      const title = typeof layout.title === "string" ? layout.title : layout.title?.text;
      this.node.setAttribute("role", "img");
      this.node.setAttribute("aria-label", layout.meta?.alt ?? title ?? "chart");
      // Plotly writes into what it is given, and the model belongs to the notebook that will be saved.
      const template = themeTemplate();
      const figure = inked(structuredClone({ data, layout }), String(template.layout?.font?.color));
      figure.layout.template ??= template;
      if (!figure.layout.width) figure.layout.autosize = true;
      // A resize makes Plotly forget the layout's height and ask the element's: without one, the next move of a slider
      // would fold the chart up.
      this.node.style.height = figure.layout.height ? `${figure.layout.height}px` : "";
      await Plotly.react(this.node, figure.data, figure.layout, {
        displaylogo: false,
        responsive: true,
        ...config,
      });
      if (frames) await Plotly.addFrames(this.node as PlotDiv, structuredClone(frames) as never);
    }

    #fit(): void {
      cancelAnimationFrame(this.#frame);
      this.#frame = requestAnimationFrame(() => {
        // A hidden tab has no width: Plotly would fall back to 700 pixels.
        if (this.#plotly && !this.isDisposed && this.node.clientWidth > 0 && !this.#figure.layout?.width) {
          this.#plotly.Plots.resize(this.node as PlotDiv);
        }
      });
    }

    override dispose(): void {
      if (this.isDisposed) return;
      this.#resize.disconnect();
      this.#theme.disconnect();
      cancelAnimationFrame(this.#frame);
      this.#plotly?.purge(this.node as PlotDiv);
      super.dispose();
    }
  }

  return {
    id: "slimlab:plotly",
    rendererFactory: {
      // Plotly cleans the text that it draws, so a chart may show before a notebook is trusted.
      safe: true,
      mimeTypes: [mimeType],
      createRenderer: () => new PlotlyWidget(),
    },
    // Before image/svg+xml, which the same output carries for places where no script runs.
    rank: 0,
    dataType: "json",
  };
}
