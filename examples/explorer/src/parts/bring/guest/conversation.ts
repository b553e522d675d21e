// A conversation about pictures: the tokens of each picture in the prompt, the answer, and the attention to the patches.
import type { ImageBytes } from 'simdformer/pretrained';
import { Complaint } from '../../../model.js';
import { type Guest, MAX_WRITTEN, type Token } from './guest.js';

/** The tokens of a picture, or of one of its tiles, as a grid. */
export interface PicturePart {
  /** Index of the picture. */
  readonly picture: number;
  /** Index of the first token. */
  readonly start: number;
  readonly rows: number;
  readonly columns: number;
  /** The part of the picture, as shares of its width and height. */
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Conversation {
  readonly pictures: readonly ImageBytes[];
  /** The prompt and the answer, or the prompt alone if its tokens see each other. */
  readonly tokens: readonly Token[];
  /** Number of tokens in the prompt. */
  readonly asked: number;
  readonly parts: readonly PicturePart[];
  readonly answer: string;
  /** Attention by layer, [heads, T, T]. Empty if it would be too large. */
  readonly maps: readonly Float32Array[];
  readonly heads: number;
}

/** Most numbers of all attention maps together. */
const MAX_NUMBERS = 2 ** 25;

type Piece = string | { readonly token: number } | { readonly rows: number };

interface Ready {
  readonly pixelValues: { readonly data: Float32Array; readonly shape: readonly number[] };
  readonly spatialShapes?: readonly (readonly number[])[];
  readonly pixelAttentionMask?: readonly (readonly number[])[];
  readonly imageGridThw?: readonly (readonly number[])[];
  readonly imagePositionIds?: readonly (readonly [column: number, row: number])[];
  readonly pieces: readonly Piece[];
}

/** Prepares pictures for a model that reads them among words. */
interface Preparer {
  readonly mark: string | number;
  readonly addsSpecial: boolean;
  process(picture: ImageBytes): Ready;
  prompt(text: string, count: number, mark: string, begin: string): string;
}

/** A model that reads pictures among words. */
interface Reader {
  /** `twoSided`: 'prompt' if all tokens of a prompt see each other. */
  readonly images: { readonly placeholder: number; readonly twoSided: string };
  readImages(inputs: object): { readonly ids: readonly (readonly number[])[]; dispose(): void };
}

/** Throws Complaint if there is nothing to read. */
export async function converse(guest: Guest, pictures: readonly ImageBytes[], text: string): Promise<Conversation> {
  const { model, device } = guest;
  if (text.trim() === '') throw new Complaint('Ask something about the pictures.');
  const preparer = model.processor as unknown as Preparer;
  const ready = pictures.map((picture) => preparer.process(picture));
  const read = ready.map((each) => device.scope(() => readerOf(guest).readImages(inputsOf(guest, each))));
  try {
    const ids = await promptOf(guest, preparer, ready, text);
    const { placeholder, twoSided } = readerOf(guest).images;
    const own = read.flatMap((each) => each.ids.flat());
    const places = ids.flatMap((id, i) => (id === placeholder ? [i] : []));
    const prompt = [...ids];
    for (const [i, place] of places.entries()) prompt[place] = own[i] as number;
    const { sequences } = await model.generate([prompt], {
      numBeams: 1,
      doSample: false,
      maxNewTokens: Math.max(1, Math.min(MAX_WRITTEN, model.maxLength - prompt.length)),
    });
    const written = sequences[0] as number[];
    // Tokens of an answer do not see later ones, so they are not part of such a prompt.
    const answer = twoSided === 'prompt' ? [] : written;
    return {
      pictures,
      asked: ids.length,
      answer: guest.textOf(written),
      tokens: guest.tokens([...ids, ...answer]),
      parts: partsOf(ready, places),
      ...(await attentionOf(guest, [...prompt, ...answer])),
    };
  } finally {
    for (const each of read) each.dispose();
  }
}

const readerOf = ({ model }: Guest) => model as unknown as Reader;

function inputsOf({ device }: Guest, { pixelValues, imagePositionIds: places, pieces: _, ...lists }: Ready): object {
  const pixels = { pixelValues: device.tensor(pixelValues.data, pixelValues.shape), ...lists };
  if (!places) return pixels;
  return { ...pixels, imagePositionIds: device.tensor(Int32Array.from(places.flat()), [1, places.length, 2]) };
}

/** Tokens of the prompt, with placeholders for pictures, which come before the text. */
async function promptOf(guest: Guest, preparer: Preparer, ready: readonly Ready[], text: string): Promise<number[]> {
  const { model } = guest;
  const tokenizer = model.tokenizer as NonNullable<typeof model.tokenizer>;
  const nameOf = (id: number) => tokenizer.idToToken(id) ?? '';
  const mark = typeof preparer.mark === 'string' ? preparer.mark : nameOf(preparer.mark);
  const content = [...ready.map(() => ({ type: 'image' })), { type: 'text', text }];
  const asked = tokenizer.chatTemplate
    ? await tokenizer.applyChatTemplate([{ role: 'user', content }], { addGenerationPrompt: true, tokenize: false })
    : preparer.prompt(text, ready.length, mark, model.startId === null ? '' : nameOf(model.startId));
  const placeholder = nameOf(readerOf(guest).images.placeholder);
  const written = ready.map(({ pieces }) =>
    pieces.map((piece) =>
      typeof piece === 'string' ? piece : 'rows' in piece ? placeholder.repeat(piece.rows) : nameOf(piece.token),
    ),
  );
  const whole = asked.split(mark).map((part, i) => part + (written[i] ?? []).join(''));
  return tokenizer.encode(whole.join(''), { addSpecial: preparer.addsSpecial });
}

/** The grids of pictures. `places`: indices of their tokens. */
function partsOf(ready: readonly Ready[], places: readonly number[]): PicturePart[] {
  let at = 0;
  return ready.flatMap((each, picture) => {
    let name = '';
    const tiles = each.pieces.flatMap((piece) => {
      if (typeof piece === 'string') name = piece;
      if (typeof piece === 'string' || !('rows' in piece)) return [];
      const [, row = 0, column = 0] = /row_(\d+)_col_(\d+)[^a-z]*$/.exec(name) ?? [];
      return [{ count: piece.rows, row: Number(row), column: Number(column) }];
    });
    const [rows, columns] = [Math.max(...tiles.map(({ row }) => row)), Math.max(...tiles.map((tile) => tile.column))];
    return tiles.map(({ count, row, column }, i): PicturePart => {
      const start = places[at] as number;
      at += count;
      const grid = gridOf(count, ratioOf(each, i));
      if (row === 0) return { picture, start, ...grid, left: 0, top: 0, width: 1, height: 1 };
      const place = { left: (column - 1) / columns, top: (row - 1) / rows, width: 1 / columns, height: 1 / rows };
      return { picture, start, ...grid, ...place };
    });
  });
}

/** Height by width of what a part of a picture became for the model. */
function ratioOf({ pixelValues, spatialShapes, imageGridThw, imagePositionIds }: Ready, part: number): number {
  const [, , high = 1, wide = 1] = pixelValues.shape;
  const [height, width] = spatialShapes?.[part] ?? imageGridThw?.[part]?.slice(1) ?? [high, wide];
  if (!imagePositionIds) return (height as number) / (width as number);
  const most = (side: 0 | 1) => 1 + Math.max(...imagePositionIds.map((place) => place[side]));
  return most(1) / most(0);
}

/** Rows and columns of `count` tokens, with sides that are the closest to a ratio. */
export function gridOf(count: number, ratio: number): { rows: number; columns: number } {
  const fitting = Array.from({ length: count }, (_, i) => i + 1).filter((rows) => count % rows === 0);
  const miss = (rows: number) => Math.abs(Math.log((rows * rows) / count / ratio));
  const rows = fitting.reduce((best, each) => (miss(each) < miss(best) ? each : best));
  return { rows, columns: count / rows };
}

async function attentionOf({ model, device }: Guest, ids: number[]): Promise<Pick<Conversation, 'maps' | 'heads'>> {
  const { layers } = model.decoder as NonNullable<typeof model.decoder>;
  const heads = Math.max(...layers.flatMap(({ selfAttentions }) => selfAttentions.map((part) => part.heads)));
  if (layers.length * heads * ids.length ** 2 > MAX_NUMBERS) return { maps: [], heads };
  const reading = device.noGrad(() =>
    device.scope(() => {
      const { decoder } = model.attentionMaps(null, [ids]);
      return decoder.map((map) => map.data());
    }),
  );
  return { maps: (await Promise.all(reading)) as Float32Array[], heads };
}
