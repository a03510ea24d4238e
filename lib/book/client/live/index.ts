// Live figures, a script of their own: loaded when a reader comes near one.
import type { LiveFigure } from "../../live.ts";
import { budgetFigure } from "./budget.ts";
import { filtersFigure, tuckerFigure } from "./convolutions.ts";
import { drawFigure } from "./draw.ts";
import { fileFigure, garmentsFigure } from "./files.ts";
import { pruneFigure, quantizeFigure, rankFigure, type Stage, temperatureFigure } from "./knobs.ts";
import { familiesFigure, tradeoffFigure } from "./methods.ts";
import { type LiveData, unpack } from "./network.ts";
import { decoderFigure, layersFigure, scheduleFigure } from "./planned.ts";
import { activationsFigure, neuronsFigure, togetherFigure } from "./turned.ts";
import { wordsOf } from "./words.ts";

declare global {
  interface Window {
    slimlabLiveData?: LiveData;
    slimlabLive?: (place: HTMLElement) => void;
  }
}

const figures: Record<LiveFigure, (stage: Stage) => HTMLElement> = {
  prune: pruneFigure,
  quantize: quantizeFigure,
  rank: rankFigure,
  temperature: temperatureFigure,
  neurons: neuronsFigure,
  activations: activationsFigure,
  together: togetherFigure,
  layers: layersFigure,
  schedule: scheduleFigure,
  decoder: decoderFigure,
  tradeoff: tradeoffFigure,
  filters: filtersFigure,
  tucker: tuckerFigure,
  garments: garmentsFigure,
  budget: budgetFigure,
  file: fileFigure,
  families: familiesFigure,
  draw: drawFigure,
};

let unpacked: ReturnType<typeof unpack> | undefined;

window.slimlabLive = (place) => {
  unpacked ??= unpack(window.slimlabLiveData!);
  const words = wordsOf(document.documentElement.dataset.language);
  place.replaceChildren(figures[place.dataset.live as LiveFigure]({ ...unpacked, words }));
};
