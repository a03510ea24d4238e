// Colours and the layout that all figures share. Backgrounds are transparent and greys sit midway, so that one figure
// reads on a light page and on a dark one.

/**
 * Okabe and Ito's palette (2008), told apart by readers with any colour vision; in the order that keeps the first four
 * furthest apart. Its yellow vanishes on white and its black on dark, so a grey closes the list.
 */
export const palette = [
  "#0072B2", // blue
  "#D55E00", // vermillion
  "#009E73", // bluish green
  "#CC79A7", // reddish purple
  "#56B4E9", // sky blue
  "#E69F00", // orange
  "#8C8C8C", // grey
] as const;

/** Series differ by dash and marker as well as by colour. */
export const dashes = ["solid", "dash", "dot", "dashdot"] as const;
export const symbols = ["circle", "square", "diamond", "triangle-up", "cross", "x"] as const;

/** Text colour with the best contrast that one grey can have on both white and #111. */
export const ink = "#767676";
export const grid = "rgba(128,128,128,0.25)";

/** A colour scale: stops from 0 to 1. */
export type ColorScale = [number, string][];

/** The colour scales of heat maps, by what they show. */
export const scales = {
  /** From pruned (a trace of grey) to kept (blue). */
  mask: [
    [0, "#E3E3E3"],
    [1, "#0072B2"],
  ],
  /** Small to large: cividis (Nuñez, Anderton and Renslow 2018), made for colour-blind readers. */
  sequential: [
    [0, "#00224E"],
    [0.25, "#414D6B"],
    [0.5, "#7C7B78"],
    [0.75, "#BBAF71"],
    [1, "#FEE838"],
  ],
  /** Negative to positive about zero: blue, white, vermillion. */
  diverging: [
    [0, "#0072B2"],
    [0.25, "#7FB8D8"],
    [0.5, "#F7F7F7"],
    [0.75, "#EAAE7F"],
    [1, "#D55E00"],
  ],
  /** Black ink on white paper, as digits are printed. */
  ink: [
    [0, "#FFFFFF"],
    [1, "#000000"],
  ],
} as const satisfies Record<string, readonly (readonly [number, string])[]>;

/** `#RRGGBB` as CSS rgba with the given opacity. */
export function withOpacity(color: string, opacity: number): string {
  const value = Number.parseInt(color.slice(1), 16);
  return `rgba(${value >> 16},${(value >> 8) & 255},${value & 255},${opacity})`;
}
