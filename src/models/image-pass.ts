// A decoder's pass over tokens with images among them: embeddings, rotary positions, and which tokens see later ones.

import { lastOf, type Tensor } from '../core/tensor.js';
import type { DecoderState } from '../nn/decoder-state.js';
import type { ExtendedSequence } from '../nn/extension.js';
import { ImageEffects, type ReadRows } from '../nn/image-effects.js';
import { RotaryEmbedding } from '../nn/rotary-embedding.js';
import type { Stack } from '../nn/stack.js';
import { add } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { concat } from '../ops/move.js';
import type { BidirectionalScope } from './image-reader.js';
import { axisPositions, type PlacedImage, withRows } from './image-tokens.js';

/** The tokens of a pass. */
export interface PassTokens {
  /** The images of each sequence. */
  readonly placedImages: readonly (readonly PlacedImage[])[];
  /** Number of tokens of each sequence that the pass reads. */
  readonly counts: readonly number[];
  /** Index of each sequence's first row. */
  readonly starts: ArrayLike<number>;
  /** Kind of each token of each sequence, as token_type_ids have it. Default: by the images. */
  readonly kinds?: readonly (readonly number[])[] | undefined;
  /** The state that the pass extends, and where. Default: whole sequences. */
  readonly into?: { readonly parts: readonly ExtendedSequence[]; readonly state: DecoderState } | undefined;
}

/** The input of the layers. */
export interface Pass {
  /** float32 [N, dModel] */
  readonly x: Tensor;
  /** int32 [N]: rotary positions, if images move them; null if tokens have their own positions. */
  readonly rotations: Tensor | null;
  readonly imageEffects: ImageEffects | null;
}

/** `embedded`: float32 [N, dModel], the embeddings of text, with anything in the rows of images. */
export function imagePass(
  decoder: Stack,
  embedded: Tensor,
  tokens: PassTokens,
  bidirectional: BidirectionalScope,
): Pass {
  const { placedImages, starts, counts, into } = tokens;
  const { device } = embedded;
  const hasImages = placedImages.some(({ length }) => length > 0);
  const rotary = rotationOf(decoder);
  const moves = rotary !== null && (into ? into.state.shifts !== null : hasImages);
  const axes = moves ? positionsOf(tokens, embedded) : null;
  if (!hasImages && !tokens.kinds) return { x: embedded, rotations: axes?.[0] ?? null, imageEffects: null };
  const length = into?.state.sizes.textLength ?? into?.state.sizes.capacity ?? Math.max(...counts);
  const angles = axes && rotary ? rotary.anglesAt(axes, length, into !== undefined) : null;
  const added = addedRows(embedded, placedImages, starts);
  const all = decoder.layers.flatMap((layer) => layer.selfAttentions.map(({ window }) => window));
  const windows = bidirectional === 'nearby' ? all.filter((window) => window !== null) : all;
  const rows = bidirectional === 'none' ? null : readRows(tokens, bidirectional);
  const imageEffects = ImageEffects.of(
    device,
    { angles, added },
    { rows, windows, bidirectional, isPerSequence: into !== undefined },
  );
  const x = hasImages ? withImages(embedded, placedImages, starts) : embedded;
  return { x, rotations: axes?.[0] ?? null, imageEffects };
}

/**
 * The rows that images add to the outputs of the first layers: [N, dModel] for each of these layers, zeros for text.
 */
function addedRows(x: Tensor, placedImages: PassTokens['placedImages'], starts: PassTokens['starts']): Tensor[] {
  const depth = Math.max(0, ...placedImages.flat().map(({ image }) => image.source.added?.length ?? 0));
  if (depth === 0) return [];
  const zeros = x.device.zeros(x.shape);
  return Array.from({ length: depth }, (_, i) =>
    withRows(zeros, placedImages, starts, ({ added }) => added?.[i] as Tensor),
  );
}

/** Embeddings with the rows of images. Columns beyond those of the rows stay: they are inputs of layers (Gemma 4). */
function withImages(x: Tensor, placedImages: PassTokens['placedImages'], starts: PassTokens['starts']): Tensor {
  const width = lastOf((placedImages.flat()[0] as PlacedImage).image.source.rows.shape);
  const rest = lastOf(x.shape);
  const replaced = withRows(contiguous(x.columns(0, width)), placedImages, starts, ({ rows }) => rows);
  return width === rest ? replaced : concat([replaced, x.columns(width, rest)], -1);
}

/** The rotation of the layers, if tokens have positions on several axes. */
export function rotationOf(decoder: Stack): RotaryEmbedding | null {
  const parts = decoder.layers.flatMap((layer) => layer.selfAttentions.map(({ rotary }) => rotary));
  const found = parts.find((part) => part instanceof RotaryEmbedding && part.hasAxes);
  return (found as RotaryEmbedding | undefined) ?? null;
}

/** int32 [N] for each axis. Writes what they leave for later tokens into the state. */
function positionsOf({ placedImages, counts, into }: PassTokens, { device }: Tensor): Tensor[] {
  const sequences = counts.map((count, i) => {
    const part = into?.parts[i];
    const start = part?.start ?? 0;
    const { axes, shifts } = axisPositions(start, count, placedImages[i] ?? []);
    if (!part || !into?.state.shifts) return axes.map((axis) => device.tensor(axis));
    const before = into.state.shifts.at(part.sequence, start);
    const positions = axes.map((axis) => add(device.tensor(axis), before));
    into.state.shifts.write(part.sequence, start, add(device.tensor(shifts), before));
    return positions;
  });
  return [0, 1, 2].map((axis) => joined(sequences.map((axes) => axes[axis] as Tensor)));
}

const joined = (parts: readonly Tensor[]) => (parts.length === 1 ? (parts[0] as Tensor) : concat(parts));

/** The groups of tokens that see each other. */
function readRows({ placedImages, counts, kinds, into }: PassTokens, twoSided: BidirectionalScope): ReadRows[] {
  return counts.map((count, i) => {
    const sequenceKinds = kinds?.[i];
    const images = placedImages[i] ?? [];
    const groups = sequenceKinds
      ? groupsOfKinds(sequenceKinds, count, twoSided === 'prompt' ? 0 : 1)
      : groupsOfImages(images, count, twoSided);
    return { start: into?.parts[i]?.start ?? 0, count, groups };
  });
}

/** Group 0 for tokens of one kind, and -1, no group, for others. */
function groupsOfKinds(kinds: readonly number[], count: number, wanted: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => (kinds[i] === wanted ? 0 : -1));
}

/** Group 0 for the rows of images, or for a whole prompt that has images; -1, no group, for other tokens. */
function groupsOfImages(images: readonly PlacedImage[], count: number, twoSided: BidirectionalScope): Int32Array {
  const groups = new Int32Array(count).fill(-1);
  if (twoSided === 'prompt') return images.length > 0 ? groups.fill(0) : groups;
  for (const { start, count: rows } of images) groups.fill(0, start, start + rows);
  return groups;
}
