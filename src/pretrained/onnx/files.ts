// Finds the files of an ONNX export: the graphs that make up the model, and one variant of each.

import { checkOneOf, describeValue, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { ModelSource } from '../source.js';

/** Suffixes of file names by `dtype`, as in transformers.js. */
const SUFFIXES = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  q2: '_q2',
  q2f16: '_q2f16',
  bnb4: '_bnb4',
} as const;

/** The name of a variant of ONNX files, as in transformers.js. */
export type OnnxDType = keyof typeof SUFFIXES;
export const onnxDTypes = Object.keys(SUFFIXES) as OnnxDType[];

/** One variant for all files, or one per file: `{ encoder_model: 'fp32', decoder_model_merged: 'q4' }`. */
export type OnnxChoice = OnnxDType | 'auto' | Readonly<Record<string, OnnxDType | 'auto'>>;

/** Sets of files that make up a model, without folder and suffix. The first complete set is used. */
const PARTS = [
  ['model'],
  ['embed_tokens', 'vision_encoder', 'audio_encoder', 'decoder_model_merged'],
  ['embed_tokens', 'vision_encoder', 'encoder_model', 'decoder_model_merged'],
  ['embed_tokens', 'vision_encoder', 'decoder_model_merged'],
  ['encoder_model', 'decoder_model_merged', 'decoder_postnet_and_vocoder'],
  ['encoder_model', 'decoder_model', 'decoder_postnet_and_vocoder'],
  ['encoder_model', 'decoder_model_merged'],
  ['encoder_model', 'decoder_model'],
  ['decoder_model_merged'],
  ['decoder_model'],
  ['text_model', 'vision_model'],
  ['text_encoder', 'vision_encoder'],
  ['text_model', 'audio_model'],
  ['text_encoder', 'audio_encoder'],
  ['vision_encoder', 'prompt_encoder_mask_decoder'],
  ['text_model'],
  ['vision_model'],
  ['audio_model'],
];
const FOLDERS = ['onnx/', ''];

/** Encoders of models that compare texts with images or sounds. Each may have a file of its own. */
export const towers = ['text', 'vision', 'audio'] as const;
export type Tower = (typeof towers)[number];

/** The encoder that is named by a file such as text_model_fp16.onnx; null for other names. */
export function towerOfFile(name: string): Tower | null {
  const found = /(?:^|\/)(text|vision|audio)_(?:model|encoder)(?:_[a-z\d]+)?\.onnx$/.exec(name)?.[1];
  return (found as Tower | undefined) ?? null;
}

/** Throws ArgumentError for an unknown variant, or for a value of another type. */
export function checkOnnxChoice(choice: unknown): void {
  const known = [...onnxDTypes, 'auto'];
  const named = isObject(choice)
    ? Object.entries(choice).map(([part, partDtype]) => [`dtype.${part}`, partDtype])
    : [['dtype', choice]];
  for (const [name, value] of named as [string, unknown][])
    if (value !== undefined) checkOneOf('loadModel', name, value, known);
}

/**
 * Returns the files of a variant, or null if there are none. 'auto' selects the variant with the highest precision.
 * `wanted`: the name of the file without the suffix of its variant. `tower`: the encoder whose file comes first.
 */
export async function onnxFiles(
  source: ModelSource,
  choice: OnnxChoice = 'auto',
  wanted?: string,
  tower?: Tower,
): Promise<readonly string[] | null> {
  const [, subfolder, file] = /^(.*\/)?(.*)$/.exec(wanted ?? '') as unknown as [string, string | undefined, string];
  const isOfOther = ([part, second]: readonly string[]) =>
    tower !== undefined && second === undefined && ![null, tower].includes(towerOfFile(`${part}.onnx`));
  const sets = [
    ...(wanted === undefined ? [] : [[file]]),
    ...(tower === undefined ? [] : [[`${tower}_model`], [`${tower}_encoder`]]),
    ...PARTS.filter((parts) => !isOfOther(parts)),
  ];
  for (const folder of wanted === undefined ? FOLDERS : [subfolder ?? '']) {
    for (const parts of sets) {
      const files = await Promise.all(parts.map((part) => fileOf(source, `${folder}${part}`, dtypeOf(choice, part))));
      if (files.every((file) => file !== null)) return files;
    }
  }
  return null;
}

/** Throws an ArgumentError that lists the variants of the source. */
export async function noSuchVariant(source: ModelSource, choice: OnnxChoice, wanted?: string): Promise<never> {
  const names = (await source.list())?.filter((name) => name.endsWith('.onnx')) ?? [];
  const there = names.length === 0 ? 'none that can be listed' : names.join(', ');
  throw new ArgumentError(
    `loadModel: ${source.name} has no ONNX files ${wanted === undefined ? '' : `${wanted} `}for dtype ${describeValue(choice)}: there is ${there}`,
  );
}

function dtypeOf(choice: OnnxChoice, part: string): OnnxDType | 'auto' {
  return typeof choice === 'string' ? choice : (choice[part] ?? 'auto');
}

async function fileOf(source: ModelSource, stem: string, dtype: OnnxDType | 'auto'): Promise<string | null> {
  for (const candidate of dtype === 'auto' ? onnxDTypes : [dtype]) {
    const name = `${stem}${SUFFIXES[candidate]}.onnx`;
    if (await source.has(name)) return name;
  }
  return null;
}
