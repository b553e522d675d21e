/** A part of a text: an added token, or what is between two. */
export interface Section {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** The added token; null for other text. */
  readonly content: string | null;
}

/** The same, with the added tokens in what the normalizer made of it, and the pieces of what is between those. */
export interface TextSection extends Section {
  readonly parts: readonly (Section & { readonly pieces: readonly string[] })[];
}
