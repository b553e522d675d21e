// Florence-2's processor: images, prompts of its tasks, and boxes and polygons in the generated text.

import { describeValue, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { ImageProcessor } from './image.js';
import { CLIP_COLORS, ImageTextProcessor, type ReadyImage } from './image-text/image-text-processor.js';
import type { Pixels } from './resize.js';
import { type Json, Settings } from './settings.js';

/** Left, top, right and bottom edge in pixels. */
export type FlorenceBox = readonly number[];

/** The answer of a task, with transformers' field names. Lists have one entry per object. */
export type FlorenceAnswer =
  | string
  | { readonly bboxes: readonly FlorenceBox[]; readonly labels: readonly string[] }
  | { readonly quad_boxes: readonly (readonly number[])[]; readonly labels: readonly string[] }
  | { readonly polygons: readonly (readonly (readonly number[])[])[]; readonly labels: readonly string[] }
  | {
      readonly bboxes: readonly FlorenceBox[];
      readonly bboxes_labels: readonly string[];
      readonly polygons: readonly (readonly (readonly number[])[])[];
      readonly polygons_labels: readonly string[];
    };

/** Width and height of an image in pixels. */
type Size = readonly [width: number, height: number];
type Kind = 'text' | 'ocr' | 'boxes' | 'proposals' | 'grounding' | 'polygons' | 'boxesOrPolygons';

/** Tasks by their tokens: the prompt, where `{}` stands for the user's text, and the kind of the answer. */
const tasks: Readonly<Record<string, readonly [prompt: string, kind: Kind]>> = {
  '<OCR>': ['What is the text in the image?', 'text'],
  '<OCR_WITH_REGION>': ['What is the text in the image, with regions?', 'ocr'],
  '<CAPTION>': ['What does the image describe?', 'text'],
  '<DETAILED_CAPTION>': ['Describe in detail what is shown in the image.', 'text'],
  '<MORE_DETAILED_CAPTION>': ['Describe with a paragraph what is shown in the image.', 'text'],
  '<OD>': ['Locate the objects with category name in the image.', 'boxes'],
  '<DENSE_REGION_CAPTION>': ['Locate the objects in the image, with their descriptions.', 'boxes'],
  '<REGION_PROPOSAL>': ['Locate the region proposals in the image.', 'proposals'],
  '<CAPTION_TO_PHRASE_GROUNDING>': ['Locate the phrases in the caption: {}', 'grounding'],
  '<REFERRING_EXPRESSION_SEGMENTATION>': ['Locate {} in the image with mask', 'polygons'],
  '<REGION_TO_SEGMENTATION>': ['What is the polygon mask of region {}', 'polygons'],
  '<OPEN_VOCABULARY_DETECTION>': ['Locate {} in the image.', 'boxesOrPolygons'],
  '<REGION_TO_CATEGORY>': ['What is the region {}?', 'text'],
  '<REGION_TO_DESCRIPTION>': ['What does the region {} describe?', 'text'],
  '<REGION_TO_OCR>': ['What text is in the region {}?', 'text'],
};

/** Maximum of ids and token counts in a settings file. */
const MAX_COUNT = 1 << 26;

export class Florence2Processor extends ImageTextProcessor {
  readonly mark: number;
  override readonly addsSpecial = false;
  readonly #images: ImageProcessor;
  readonly #rows: number;
  readonly #banned: ReadonlySet<string>;
  readonly #smallestText: number;

  /** `parsing`: `post_processor_config` of processor_config.json. */
  constructor(config: Json, where: string, model: Json, parsing: Json = {}) {
    super(config, where, { resample: 3, ...CLIP_COLORS });
    this.#images = new ImageProcessor(config, 'clip', where);
    this.mark = new Settings('config.json', model).count('image_token_id', 51289, MAX_COUNT);
    this.#rows = this.settings.count('image_seq_length', 577, MAX_COUNT);
    const part = (name: string) => (isObject(parsing[name]) ? (parsing[name] as Json) : {});
    const banned = part('phrase_grounding').banned_grounding_tokens;
    this.#banned = new Set(Array.isArray(banned) ? banned.map(String) : []);
    this.#smallestText = new Settings(`${where}: post_processor_config.ocr`, part('ocr')).number('AREA_THRESHOLD', 0);
  }

  protected *prepareImage(image: Pixels): Generator<undefined, ReadyImage> {
    return { pixelValues: yield* this.#images.processInParts([image]), pieces: [{ rows: this.#rows }] };
  }

  /** Replaces a task's token, and a user's text behind it, by the prompt of the task. Throws ArgumentError. */
  override prompt(text: string, count: number, mark: string): string {
    return `${mark.repeat(count)}<s>${this.taskPrompt(text)}</s>`;
  }

  /** Same as `prompt`, without special tokens. */
  taskPrompt(text: string): string {
    return promptOf(text);
  }

  /**
   * Reads the answer of a task from generated text, which must include special tokens. `task`: its token, such as
   * `<OD>`. The answer of an unknown task is the text. `size`: width and height of the image in pixels.
   */
  postProcessGeneration(text: string, task: string, size: Size): Readonly<Record<string, FlorenceAnswer>> {
    const [, kind = 'text'] = Object.hasOwn(tasks, task) ? (tasks[task] ?? []) : [];
    return { [task]: this.#answerOf(text, kind, size) };
  }

  #answerOf(text: string, kind: Kind, size: Size): FlorenceAnswer {
    const cleaned = text.replaceAll('<s>', '').replaceAll('</s>', '');
    const written = cleaned.replaceAll('<pad>', '');
    switch (kind) {
      case 'text':
        return cleaned.trim();
      case 'ocr': {
        const found = parseTexts(written, size).filter(({ box }) => !isSmall(box, size, this.#smallestText));
        return { quad_boxes: found.map(({ box }) => box), labels: found.map(({ label }) => label) };
      }
      case 'boxes':
      case 'proposals':
        return boxAnswer(parseBoxes(written, size, kind === 'proposals'));
      case 'grounding':
        return boxAnswer(parseBoxes(written, size, false).filter(({ raw }) => !this.#banned.has(raw)));
      case 'polygons': {
        const found = parsePolygons(written, size, true);
        return { polygons: found.map(({ polygons }) => polygons), labels: found.map(({ label }) => label) };
      }
      default: {
        const shapes = text.includes('<poly>') ? parsePolygons(written, size, false) : [];
        const boxes = text.includes('<poly>') ? [] : parseBoxes(written, size, false);
        return {
          bboxes: boxes.map(({ box }) => box),
          bboxes_labels: boxes.map(({ label }) => label),
          polygons: shapes.map(({ polygons }) => polygons),
          polygons_labels: shapes.map(({ label }) => label),
        };
      }
    }
  }
}

/** The task token at the beginning of a prompt, or null. */
export function florenceTask(prompt: string): string | null {
  return Object.keys(tasks).find((task) => prompt.includes(task)) ?? null;
}

function promptOf(text: string): string {
  const task = florenceTask(text);
  if (task === null) return text;
  const [prompt] = tasks[task] as readonly [string, Kind];
  if (prompt.includes('{}')) return prompt.replace('{}', () => text.replaceAll(task, '').trim());
  if (text === task) return prompt;
  throw new ArgumentError(`the prompt is ${describeValue(text)}, expected ${task} alone, which takes no text`);
}

/** Converts positions from 0 to 999 to pixels: the middles of their bins, with transformers' float32 rounding. */
function pixelsOf(bins: readonly string[], size: Size): number[] {
  return bins.map((location, i) => {
    const bin = Math.fround((size[i % 2] as number) / 1000);
    return Math.trunc(Math.fround(Math.fround(Number(location) + 0.5) * bin));
  });
}

interface TextAt {
  readonly box: readonly number[];
  readonly label: string;
}

const locationsIn = (text: string) => [...text.matchAll(/<loc_(\d+)>/g)].map(([, location]) => location as string);

/** Recognized texts with their four corners. */
function parseTexts(text: string, size: Size): TextAt[] {
  return [...text.matchAll(/(.+?)((?:<loc_\d+>){8})/g)].map(([, label, corners]) => ({
    box: pixelsOf(locationsIn(corners as string), size),
    label: (label as string).trim(),
  }));
}

/** transformers' area of a quadrangle. Its formula leaves out the last side, and we match it. */
function isSmall(box: readonly number[], [width, height]: Size, share: number): boolean {
  if (share <= 0) return false;
  const coordinate = (i: number) => box[i] as number;
  const twice = [0, 2, 4].reduce(
    (sum, i) => sum + coordinate(i) * coordinate(i + 3) - coordinate(i + 2) * coordinate(i + 1),
    0,
  );
  return Math.abs(twice) / 2 < width * height * share;
}

/** The part of a text before positions or other marks. */
const LABEL = /^\s*(.*?)(?=<od>|<\/od>|<box>|<\/box>|<bbox>|<\/bbox>|<loc_)/;
const POLYGON_LABEL = /^\s*(.*?)(?=<od>|<\/od>|<box>|<\/box>|<bbox>|<\/bbox>|<loc_|<poly>)/;
const BOX = /<loc_(\d+)><loc_(\d+)><loc_(\d+)><loc_(\d+)>/g;

interface BoxAt extends TextAt {
  /** The label before non-ASCII characters are removed. */
  readonly raw: string;
}

/** Boxes with the text before them. `bare`: there is no text. */
function parseBoxes(text: string, size: Size, bare: boolean): BoxAt[] {
  const phrases = text.match(bare ? /(?:<loc_\d+>){4,}/g : /[^<]+(?:<loc_\d+>){4,}/g) ?? [];
  return phrases.flatMap((phrase) => {
    const label = LABEL.exec(phrase);
    if (label === null) return [];
    const raw = label[0].trim();
    return [...phrase.matchAll(BOX)].map(([, ...locations]) => ({
      box: pixelsOf(locations as string[], size),
      raw,
      label: ascii(raw),
    }));
  });
}

function ascii(text: string): string {
  return Array.from(text)
    .filter((character) => character < '\u0080')
    .join('');
}

function boxAnswer(found: readonly TextAt[]): FlorenceAnswer {
  return { bboxes: found.map(({ box }) => box), labels: found.map(({ label }) => label) };
}

interface Shape {
  readonly polygons: readonly (readonly number[])[];
  readonly label: string;
}

/** Polygons with the text before them. `bare`: text is optional. */
function parsePolygons(text: string, size: Size, bare: boolean): Shape[] {
  const marks = '(?:<loc_\\d+>|<sep>|<poly>|</poly>){4,}';
  const phrases = text.match(new RegExp(bare ? marks : `[^<]+${marks}`, 'g')) ?? [];
  return phrases.flatMap((phrase) => {
    const label = POLYGON_LABEL.exec(phrase.replace(/^<loc_\d+>/, ''));
    if (label === null) return [];
    const isMarked = phrase.includes('<poly>') && phrase.includes('</poly>');
    const parts = isMarked ? [...phrase.matchAll(/<poly>(.*?)<\/poly>/g)].map(([, part]) => part as string) : [phrase];
    return parts.flatMap((part) => {
      const found = [...part.matchAll(/((?:<loc_\d+>)+)(?:<sep>|$)/g)].map(([, locations]) =>
        locationsIn(locations as string),
      );
      const polygons = found.map((locations) =>
        pixelsOf(locations.slice(0, locations.length - (locations.length % 2)), size),
      );
      return polygons.length > 0 ? [{ polygons, label: label[0].trim() }] : [];
    });
  });
}
