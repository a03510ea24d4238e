// Runs in the browser: the prebuilt JupyterLab extension that draws charts. index.ts turns this file into one plain script.
import { folder, offer } from "./container.ts";
import { plotlyRenderer, type WidgetClass } from "./plotly.ts";

/** The name of Plotly's file, put in by index.ts. */
declare const plotlyFile: string;

offer("slimlab", {
  "./mimeExtension": async (fromLab) => {
    const { Widget } = (await fromLab("@lumino/widgets")) as { Widget: WidgetClass };
    return plotlyRenderer(Widget, folder + plotlyFile);
  },
});
