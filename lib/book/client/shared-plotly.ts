// The book within a site draws by the Plotly that the site's notebooks draw by.
import { importPacked } from "../../util/packed.ts";

/** From this script's folder: put in by ../site.ts. */
declare const plotlyFile: string;

const { src } = document.currentScript as HTMLScriptElement;
const loading = importPacked<{ default: NonNullable<typeof window.Plotly> }>(new URL(plotlyFile, src).href);
window.slimlabPlotly = loading.then((module) => {
  window.Plotly = module.default;
});
