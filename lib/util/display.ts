// How an object shows itself in a notebook: the method's symbol and what it answers. The kernel asks by it and knows no class.

/** The method by which an object shows itself: it returns a {@link MimeBundle}, or a promise of one, or null for nothing. */
export const display: unique symbol = Symbol.for("Jupyter.display") as never;

/** A MIME bundle: what to show, in each form that can be shown, by MIME type. */
export type MimeBundle = Record<string, unknown>;
