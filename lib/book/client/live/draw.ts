// Draw a digit: the whole network, and what pruning, quantization and low rank have made of it, answer as it is drawn.
import { softmaxAt } from "../../../distillation/loss.ts";
import { make } from "../dom.ts";
import { lowRankOf, pruned, quantized, type Stage } from "./knobs.ts";
import { answerOf, logitsOf, type Network } from "./network.ts";
import { Bars, Frame, shareSlider, slider } from "./parts.ts";

const side = 280;

/**
 * A drawing as the network knows digits: fitted into 20 × 20 pixels and set with its centre of mass into the middle of
 * 28 × 28, as MNIST's digits were.
 *
 * @param ink side × side, 0 to 1
 */
export function asDigit(ink: Float32Array, size: number): Float32Array {
  let [left, top, right, bottom] = [size, size, -1, -1];
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      if (ink[y * size + x] > 0.05) {
        [left, right] = [Math.min(left, x), Math.max(right, x)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      }
  const digit = new Float32Array(28 * 28);
  if (right < 0) return digit;
  const scale = Math.max(right - left + 1, bottom - top + 1) / 20;
  let [mass, massX, massY] = [0, 0, 0];
  for (let y = top; y <= bottom; y++)
    for (let x = left; x <= right; x++) {
      const value = ink[y * size + x];
      mass += value;
      massX += value * (x + 0.5);
      massY += value * (y + 0.5);
    }
  // Each pixel of the digit is the mean of what it covers of the drawing.
  const [startX, startY] = [massX / mass - 14 * scale, massY / mass - 14 * scale];
  for (let row = 0; row < 28; row++)
    for (let col = 0; col < 28; col++) {
      const [fromX, toX] = [col, col + 1].map((c) => Math.round(startX + c * scale));
      const [fromY, toY] = [row, row + 1].map((r) => Math.round(startY + r * scale));
      let sum = 0;
      for (let y = Math.max(0, fromY); y < Math.min(size, toY); y++)
        for (let x = Math.max(0, fromX); x < Math.min(size, toX); x++) sum += ink[y * size + x];
      digit[row * 28 + col] = Math.min(1, sum / Math.max(1, (toX - fromX) * (toY - fromY)));
    }
  return digit;
}

export function drawFigure({ network, digits, words: t }: Stage): HTMLElement {
  const board = make("canvas", { width: side, height: side, className: "live-board" });
  board.setAttribute("role", "img");
  board.setAttribute("aria-label", t.draw);
  const pen = board.getContext("2d", { willReadFrequently: true })!;
  const { at: lowRank } = lowRankOf(network);
  const networks: Record<"whole" | "pruned" | "quantized" | "lowRank", Network> = {
    whole: network,
    pruned: pruned(network, 0.9),
    quantized: quantized(network, 3).network,
    lowRank: lowRank(30),
  };
  const bars = new Bars();
  const clear = () => {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, side, side);
    answer();
  };
  const inkOf = () => {
    const { data } = pen.getImageData(0, 0, side, side);
    return Float32Array.from({ length: side * side }, (_, i) => 1 - data[4 * i] / 255);
  };
  const answer = () => {
    const digit = asDigit(inkOf(), side);
    const isEmpty = digit.every((value) => value === 0);
    const said = Object.entries(networks).map(([which, one]) => {
      const logits = logitsOf(one, digit);
      const best = answerOf(logits);
      const share = isEmpty ? 0 : softmaxAt(logits, 10)[best];
      const label = t[which as keyof typeof networks];
      return { name: label, value: isEmpty ? "–" : `${best} (${t.percent(share)})`, share, best };
    });
    bars.show(said);
    frame.title(isEmpty ? t.drawTitle : t.drawSaid(t.join(said.map(({ name, best }) => `${name} ${best}`))));
  };
  let drawing = false;
  const place = (event: PointerEvent): [number, number] => {
    const box = board.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * side, ((event.clientY - box.top) / box.height) * side];
  };
  board.addEventListener("pointerdown", (event) => {
    drawing = true;
    board.setPointerCapture(event.pointerId);
    Object.assign(pen, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
    pen.beginPath();
    pen.moveTo(...place(event));
    pen.lineTo(...place(event));
    pen.stroke();
    answer();
  });
  board.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    pen.lineTo(...place(event));
    pen.stroke();
    answer();
  });
  for (const end of ["pointerup", "pointercancel"] as const)
    board.addEventListener(end, () => {
      drawing = false;
    });
  let next = 0;
  const another = () => {
    const image = digits.images[next++ % digits.images.length];
    const cell = side / 28;
    for (let i = 0; i < image.length; i++) {
      const grey = Math.round(255 * (1 - image[i]));
      pen.fillStyle = `rgb(${grey} ${grey} ${grey})`;
      pen.fillRect((i % 28) * cell, Math.floor(i / 28) * cell, cell, cell);
    }
    answer();
  };
  const button = (text: string, act: () => void) => {
    const made = make("button", { type: "button", className: "live-button", textContent: text });
    made.addEventListener("click", act);
    return made;
  };
  const change = (which: keyof typeof networks, one: Network) => {
    networks[which] = one;
    answer();
  };
  const frame = new Frame(
    t.live + t.stop + t.drawHint,
    make(
      "div",
      { className: "live-row" },
      make("div", {}, board, make("div", {}, button(t.clear, clear), button(t.another, another))),
      bars.element,
    ),
    shareSlider(t.sparsity, { most: 99, share: 90, words: t }, (share) =>
      change("pruned", pruned(network, share)),
    ),
    slider(t.bits, { min: 1, max: 8, value: 3 }, String, (v) =>
      change("quantized", quantized(network, v).network),
    ),
    slider(t.rank, { min: 1, max: 200, value: 30 }, String, (v) => change("lowRank", lowRank(v))),
  );
  clear();
  another();
  return frame.element;
}
