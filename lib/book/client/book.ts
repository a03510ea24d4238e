// The pages' own script: charts, search, copying, colours, the chapters' list on a phone. A page reads well without it.
import { plainTitle } from "../../plots/plotly.ts";
import { make, range } from "./dom.ts";

interface Plot {
  data: object[];
  layout: Record<string, unknown>;
  frames?: object[];
}

interface SliderStep {
  label: string;
  method: "update" | "restyle" | "relayout" | "animate" | "skip";
  args: Record<string, unknown>[];
}

interface SearchEntry {
  page: string;
  title: string;
  heading: string;
  id: string;
  text: string;
}

interface PlotlyApi {
  newPlot(place: HTMLElement, data: object[], layout: object, config: object): Promise<unknown>;
  addFrames(place: HTMLElement, frames: object[]): Promise<unknown>;
  relayout(place: HTMLElement, change: object): Promise<unknown>;
  update(place: HTMLElement, ...args: object[]): Promise<unknown>;
  restyle(place: HTMLElement, ...args: object[]): Promise<unknown>;
  animate(place: HTMLElement, ...args: object[]): Promise<unknown>;
  downloadImage(place: HTMLElement, options: object): Promise<unknown>;
}

/** What Plotly knows of a drawn figure: the plot's size without margins, its axes. */
interface DrawnLayout {
  _size: { w: number; h: number };
  height: number;
  xaxis?: { title: { text: string; font: { size: number; family: string } }; domain: [number, number] };
  yaxis?: { scaleanchor?: string; domain: [number, number] };
}

declare global {
  interface Window {
    Plotly?: PlotlyApi;
    /** Where a book shares its site's Plotly, what loads it. */
    slimlabPlotly?: Promise<void>;
    slimlabPlots?: Plot[];
    slimlabIndex?: SearchEntry[];
  }
}

const html = document.documentElement;
const root = html.dataset.root ?? "";
const loading = new Map<string, Promise<void>>();

/** Loads a script once: script elements work from file://, where fetch does not. */
function loadScript(address: string): Promise<void> {
  let promise = loading.get(address);
  if (!promise) {
    promise = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = () => resolve();
      script.onerror = () => reject(new Error(`${address} did not load`));
      document.head.append(script);
    });
    loading.set(address, promise);
  }
  return promise;
}

// --- Charts -------------------------------------------------------------------------------------------------------

const drawn = new Set<HTMLElement>();

/** Text and hover colours of a chart from the page's. */
function chartColors(): Record<string, unknown> {
  const style = getComputedStyle(html);
  const value = (name: string) => style.getPropertyValue(name).trim();
  return {
    "font.color": value("--text"),
    "hoverlabel.bgcolor": value("--panel"),
    "hoverlabel.font.color": value("--text"),
    "modebar.color": value("--muted"),
    "modebar.activecolor": value("--text"),
    "modebar.bgcolor": "rgba(0,0,0,0)",
  };
}

async function draw(figure: HTMLElement): Promise<void> {
  const script = document.body.dataset.plots;
  if (!script) return;
  await Promise.all([loadScript(`${root}assets/plotly.js`), loadScript(script)]);
  await window.slimlabPlotly;
  const plotly = window.Plotly!;
  const plot = structuredClone(window.slimlabPlots![Number(figure.dataset.plot)]);
  const { layout } = plot;
  const caption = figure.querySelector("figcaption");
  const margin = { l: 50, r: 10, t: 30, b: 45, ...(layout.margin as object) };
  let height = (layout.height as number) ?? 400;
  // The caption below says the title, on as many lines as the page needs.
  const title = String((layout.title as { text?: unknown } | undefined)?.text ?? layout.title ?? "");
  if (title) {
    const gained = Math.max(0, Math.min(margin.t - 14, 20 + 20 * title.split(/<br\s*\/?>/).length - 8));
    margin.t -= gained;
    height -= gained;
    layout.title = undefined;
  }
  // A native slider instead of Plotly's: keyboards, screen readers and thumbs know how to move it.
  const slider = (
    layout.sliders as { active?: number; steps: SliderStep[]; currentvalue?: { prefix?: string } }[]
  )?.[0];
  layout.sliders = undefined;
  if (slider) {
    height -= Math.max(0, margin.b - 48);
    margin.b = Math.min(margin.b, 48);
  }
  const place = make("div", { className: "plotly-place" });
  place.style.height = `${height}px`;
  const chart = figure.querySelector<HTMLElement>(".chart")!;
  chart.append(place);
  for (const [key, value] of Object.entries(chartColors())) setDeep(layout, key, value);
  await plotly.newPlot(
    place,
    plot.data,
    { ...layout, margin, height, autosize: true },
    // Without a pointer that hovers, the bar of icons would always be there, over legends and bars.
    {
      responsive: true,
      displaylogo: false,
      ...(matchMedia("(hover: none)").matches && { displayModeBar: false }),
    },
  );
  if (plot.frames) await plotly.addFrames(place, plot.frames);
  await fitToPage(place, margin.r);
  for (const still of chart.querySelectorAll(":scope > :not(.plotly-place)")) still.remove();
  if (slider) figure.append(sliderControl(place, slider, caption));
  figure.append(saveButtons(place, title));
  figure.classList.add("drawn");
  drawn.add(place);
}

/** Buttons that save a chart as it is drawn now. */
function saveButtons(place: HTMLElement, title: string): HTMLElement {
  const { save = "Save as" } = document.querySelector<HTMLElement>("article")?.dataset ?? {};
  const filename =
    title
      .replace(/<[^>]*>/g, " ")
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .replace(/^-|-$/g, "")
      .slice(0, 60) || "figure";
  const row = make("div", { className: "save" });
  for (const format of ["png", "svg"]) {
    const button = make("button", { type: "button", textContent: format.toUpperCase() });
    button.setAttribute("aria-label", `${save} ${format.toUpperCase()}`);
    button.addEventListener("click", () => {
      const { width, height } = place.getBoundingClientRect();
      window
        .Plotly!.downloadImage(place, { format, filename, width, height, scale: 2 })
        .catch((error) => console.error(error));
    });
    row.append(button);
  }
  return row;
}

/** What a page asks for: on a narrow one the x axis's title on several lines, and no empty room beside square cells. */
async function fitToPage(place: HTMLElement, right: number): Promise<void> {
  const {
    _size: size,
    xaxis,
    yaxis,
    height,
  } = (place as unknown as { _fullLayout: DrawnLayout })._fullLayout;
  const change: Record<string, unknown> = {};
  let wanted = height;
  const pen = document.createElement("canvas").getContext("2d");
  if (pen && xaxis?.title.text) {
    pen.font = `${xaxis.title.font.size}px ${xaxis.title.font.family}`;
    const lines = [""];
    // A line may end at a space, and before any Chinese character.
    const pieces =
      xaxis.title.text.match(/\p{Script=Han}[^\s\p{Script=Han}]*|[^\s\p{Script=Han}]+|\s+/gu) ?? [];
    for (const piece of pieces) {
      const longer = lines.at(-1) + piece;
      if (lines.at(-1) && pen.measureText(longer.trim()).width > size.w + 2 * right) lines.push(piece.trim());
      else lines[lines.length - 1] = longer;
    }
    if (lines.length > 1) change["xaxis.title.text"] = lines.map((line) => line.trim()).join("<br>");
    wanted += (lines.length - 1) * 1.3 * xaxis.title.font.size;
  }
  if (yaxis?.scaleanchor && yaxis.domain[1] - yaxis.domain[0] < 0.9) {
    wanted -= size.h * (1 - (yaxis.domain[1] - yaxis.domain[0]));
  }
  // Square cells take as much of a wide page as they are high: the picture begins where the text does.
  if (yaxis?.scaleanchor && xaxis && xaxis.domain[1] - xaxis.domain[0] < 0.9) {
    const unused = size.w * (1 - (xaxis.domain[1] - xaxis.domain[0]));
    place.style.maxWidth = `${Math.ceil(place.clientWidth - unused)}px`;
    change.autosize = true;
  }
  if (wanted !== height) {
    change.height = Math.round(wanted);
    place.style.height = `${change.height}px`;
  }
  if (Object.keys(change).length > 0) await window.Plotly!.relayout(place, change);
}

function setDeep(target: Record<string, unknown>, path: string, value: unknown): void {
  const keys = path.split(".");
  let at = target;
  for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
  at[keys.at(-1)!] = value;
}

function sliderControl(
  place: HTMLElement,
  slider: { active?: number; steps: SliderStep[]; currentvalue?: { prefix?: string } },
  caption: Element | null,
): HTMLElement {
  const { steps } = slider;
  const name = (slider.currentvalue?.prefix ?? "").replace(/:\s*$/, "");
  const { input, output } = range(
    { min: 0, max: steps.length - 1, value: slider.active ?? 0 },
    (at) => steps[at].label,
    (at) => {
      const { method, args } = steps[at];
      const changes = args.map((change) => ({ ...change }));
      const title = changes.map((change) => change["title.text"]).find((text) => typeof text === "string");
      for (const change of changes) delete change["title.text"];
      if (title && caption) caption.textContent = plainTitle({ title });
      if (method !== "skip")
        (window.Plotly![method] as (place: HTMLElement, ...changes: object[]) => void)(place, ...changes);
    },
  );
  input.setAttribute("aria-label", name);
  return make("div", { className: "control" }, `${name} `, output, input);
}

/** Acts on each element once, when a reader comes near it. */
function whenNear(
  elements: Iterable<HTMLElement>,
  rootMargin: string,
  act: (element: HTMLElement) => Promise<void>,
): void {
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        act(target as HTMLElement).catch((error) => console.error(error));
      }
    },
    { rootMargin },
  );
  for (const element of elements) seen.observe(element);
}

function watchCharts(): void {
  const figures = document.querySelectorAll<HTMLElement>("figure.plot");
  if (figures.length === 0) return;
  const start = () => whenNear(figures, "500px", draw);
  // After the first paint: the text comes first, its pictures are there already.
  const idle = window.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 50));
  if (document.readyState === "complete") idle(start);
  else window.addEventListener("load", () => idle(start));
}

// --- Live figures: what computes in the page -----------------------------------------------------------------------

async function mountLive(place: HTMLElement): Promise<void> {
  await Promise.all([loadScript(`${root}assets/live-data.js`), loadScript(`${root}assets/live.js`)]);
  (window as unknown as { slimlabLive(place: HTMLElement): void }).slimlabLive(place);
  place.classList.add("drawn");
}

// --- Colours ------------------------------------------------------------------------------------------------------

function recolor(): void {
  for (const place of drawn) window.Plotly?.relayout(place, chartColors());
}

function setUpTheme(): void {
  const button = document.querySelector<HTMLButtonElement>("button.theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  prefersDark.addEventListener("change", recolor);
  if (!button) return;
  button.hidden = false;
  const isDark = () => (html.dataset.theme ? html.dataset.theme === "dark" : prefersDark.matches);
  button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    html.dataset.theme = isDark() ? "light" : "dark";
    button.setAttribute("aria-pressed", String(isDark()));
    try {
      localStorage.setItem("slimlab-theme", html.dataset.theme);
    } catch {
      // No storage here: the choice holds for this page.
    }
    recolor();
  });
}

// --- Copying ------------------------------------------------------------------------------------------------------

function setUpCopying(): void {
  const { copy = "Copy", copied = "Copied" } = document.querySelector<HTMLElement>("article")?.dataset ?? {};
  for (const code of document.querySelectorAll<HTMLElement>("pre.code, .prose pre")) {
    const button = make("button", { type: "button", className: "copy", textContent: copy });
    button.addEventListener("click", async () => {
      await copyText(code.textContent ?? "");
      button.textContent = copied;
      setTimeout(() => {
        button.textContent = copy;
      }, 1500);
    });
    const frame = make("div", { className: "code-frame" });
    code.replaceWith(frame);
    frame.append(code, button);
  }
}

async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // From a folder there may be no clipboard interface: the old way.
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

// --- Search -------------------------------------------------------------------------------------------------------

/**
 * Text without what spellings differ in: case, hyphens and spaces, -ise and -ize, doubled letters. "quantisation",
 * "kmeans", "per-channel", "prunning" find what they mean.
 */
export function plainText(text: string): string {
  return text
    .toLowerCase()
    .replace(/is(?=(?:e[ds]?|er|ing|ation)(?![a-z]))/g, "iz")
    .replace(/[^\p{L}\p{N}]+/gu, "")
    .replace(/([a-z])\1+/g, "$1");
}

interface PlainEntry {
  title: string;
  heading: string;
  text: string;
}
const plainEntries = new WeakMap<SearchEntry, PlainEntry>();

function plainEntry(entry: SearchEntry): PlainEntry {
  let plain = plainEntries.get(entry);
  if (!plain) {
    const { title, heading, text } = entry;
    plain = { title: plainText(title), heading: plainText(heading), text: plainText(text) };
    plainEntries.set(entry, plain);
  }
  return plain;
}

/** Entries that hold every word, best first: in a title before in a heading before in the text. */
function find(index: SearchEntry[], query: string): { entry: SearchEntry; at: number }[] {
  const words = query.split(/\s+/).filter((word) => plainText(word));
  const terms = words.map(plainText);
  if (terms.length === 0) return [];
  return index
    .map((entry, i) => {
      // A page's title speaks for its first section only, or it would bring all the others along.
      const isFirst = index[i - 1]?.page !== entry.page;
      const { title, heading, text } = plainEntry(entry);
      let score = 0;
      for (const term of terms) {
        const hit =
          (isFirst && title.includes(term) ? 8 : 0) +
          (heading.includes(term) ? 4 : 0) +
          (text.includes(term) ? 1 : 0);
        if (hit === 0) return { entry, score: 0, at: -1 };
        score += hit;
      }
      const exact = entry.text.toLowerCase().indexOf(words[0].toLowerCase());
      return { entry, score, at: exact < 0 && text.includes(terms[0]) ? 0 : exact };
    })
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, 12);
}

function setUpSearch(): void {
  const form = document.querySelector<HTMLFormElement>("form.search");
  const input = form?.querySelector("input");
  const results = form?.querySelector<HTMLElement>(".results");
  if (!form || !input || !results) return;
  form.hidden = false;
  const close = () => {
    results.hidden = true;
  };
  const search = async () => {
    await loadScript(`${root}assets/search-${html.dataset.language}.js`);
    const found = find(window.slimlabIndex ?? [], input.value);
    results.replaceChildren();
    results.hidden = input.value.trim() === "";
    for (const { entry, at } of found) {
      const result = make("a", { href: entry.page + (entry.id ? `#${encodeURIComponent(entry.id)}` : "") });
      result.append(
        make("strong", { textContent: entry.heading || entry.title }),
        make("span", { textContent: entry.title }),
      );
      if (at >= 0) {
        const start = Math.max(0, at - 30);
        result.append(
          make("small", { textContent: `${start > 0 ? "…" : ""}${entry.text.slice(start, at + 90)}…` }),
        );
      }
      result.addEventListener("click", close);
      results.append(result);
    }
    if (found.length === 0) results.append(make("p", { textContent: results.dataset.none ?? "" }));
  };
  input.addEventListener("input", () => search().catch((error) => console.error(error)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    results.querySelector("a")?.click();
  });
  form.addEventListener("keydown", (event) => {
    const links = [...results.querySelectorAll("a")];
    const here = links.indexOf(document.activeElement as HTMLAnchorElement);
    if (event.key === "Escape") {
      close();
      input.focus();
    } else if (event.key === "ArrowDown" && links.length > 0) {
      event.preventDefault();
      links[Math.min(links.length - 1, here + 1)].focus();
    } else if (event.key === "ArrowUp" && here >= 0) {
      event.preventDefault();
      (links[here - 1] ?? input).focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (!form.contains(event.target as Node)) close();
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      input.focus();
    }
  });
}

// --- Chapters on a phone --------------------------------------------------------------------------------------------

function setUpMenu(): void {
  const menu = document.querySelector<HTMLAnchorElement>("a.menu");
  const chapters = document.getElementById("chapters");
  if (!menu || !chapters) return;
  menu.setAttribute("role", "button");
  menu.setAttribute("aria-controls", "chapters");
  const set = (open: boolean) => {
    html.classList.toggle("menu-open", open);
    menu.setAttribute("aria-expanded", String(open));
  };
  html.classList.add("scripted");
  set(false);
  menu.addEventListener("click", (event) => {
    event.preventDefault();
    set(!html.classList.contains("menu-open"));
    if (html.classList.contains("menu-open")) chapters.querySelector("a")?.focus();
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    menu.click();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !html.classList.contains("menu-open")) return;
    set(false);
    menu.focus();
  });
}

// --- The other language ---------------------------------------------------------------------------------------------

/** The page's headings, in their order: both editions have the same ones, under names of their own. */
const headings = () => [...document.querySelectorAll<HTMLElement>("article :is(h1, h2, h3, h4)")];

/** Changing the language keeps the place: the link carries the number of the heading that is being read. */
function setUpLanguage(): void {
  const link = document.querySelector<HTMLAnchorElement>("a.language");
  link?.addEventListener("click", () => {
    const read = headings().findLastIndex((heading) => heading.getBoundingClientRect().top < innerHeight / 3);
    link.hash = read > 0 ? `:${read}` : "";
  });
  const place = /^#:(\d+)$/.exec(location.hash);
  const heading = place && headings()[Number(place[1])];
  if (!heading) return;
  if (heading.id) history.replaceState(null, "", `#${encodeURIComponent(heading.id)}`);
  heading.scrollIntoView({ behavior: "instant" });
}

setUpTheme();
setUpLanguage();
setUpMenu();
setUpCopying();
setUpSearch();
watchCharts();
whenNear(document.querySelectorAll<HTMLElement>("div.live"), "300px", mountLive);
