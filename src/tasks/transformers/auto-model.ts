// AutoModel and similar classes of transformers.js.

import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { snakeCase } from '../../core/snake-case.js';
import { Tensor } from '../../core/tensor.js';
import type { GenerateOptions } from '../../generate/generate-options.js';
import type { ModelInputs } from '../../models/inputs.js';
import type { HeadKind } from '../../models/pretrained-model.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import type { ModelLocation } from '../../pretrained/open-source.js';
import { type GenerationArguments, generationArguments } from '../generation-arguments.js';
import { HostTensor } from '../host-tensor.js';
import { openModel, type PipelineOptions } from '../pipeline.js';
import { read } from '../text-inputs.js';
import { STREAMER, type Streamer } from '../text-streamer.js';
import { int64, type TokenizedTexts } from './auto-tokenizer.js';

/** Inputs of a model: the result of `AutoTokenizer`. */
export interface TransformersInputs extends Partial<TokenizedTexts> {
  readonly decoder_input_ids?: HostTensor<BigInt64Array>;
}

/** Tensors by the names of transformers.js, such as `logits` and `last_hidden_state`. */
export type TransformersOutput = Readonly<Record<string, HostTensor>>;

export interface TransformersGenerateOptions extends GenerationArguments, TransformersInputs {
  /** Receives tokens as they are generated, for a single text without beams; see `TextStreamer`. */
  streamer?: Streamer | undefined;
}

/** A model with the interface of transformers.js: call it with the result of a tokenizer. */
export interface TransformersModel {
  (inputs: TransformersInputs): Promise<TransformersOutput>;
  /** This model with simdformer's own interface. */
  readonly model: LoadedModel;
  readonly config: Readonly<Record<string, unknown>>;
  /**
   * Generates text. Returns ids, int64 [B, T]: the prompt and the generated tokens. For models with an encoder, the
   * start token replaces the prompt. Rows that ended early are padded at the end.
   */
  generate(options: TransformersGenerateOptions): Promise<HostTensor<BigInt64Array>>;
  generate(
    input_ids: HostTensor<BigInt64Array>,
    options?: TransformersGenerateOptions,
  ): Promise<HostTensor<BigInt64Array>>;
  dispose(): Promise<void>;
}

/** Loads models by the name that transformers.js has for a kind of head. */
export interface AutoModelClass {
  /** Takes the options of `pipeline`. Rejects as `loadModel`. */
  from_pretrained(name: ModelLocation, options?: PipelineOptions): Promise<TransformersModel>;
}

const loader = (name: string, head: HeadKind | undefined): AutoModelClass => ({
  async from_pretrained(location, options = {}) {
    const { model, close } = await openModel(`${name}.from_pretrained`, name, location, head, options);
    return callable(model, close);
  },
});

export const AutoModel = loader('AutoModel', 'none');
export const AutoModelForSequenceClassification = loader(
  'AutoModelForSequenceClassification',
  'sequence-classification',
);
export const AutoModelForTokenClassification = loader('AutoModelForTokenClassification', 'token-classification');
export const AutoModelForQuestionAnswering = loader('AutoModelForQuestionAnswering', 'question-answering');
export const AutoModelForMaskedLM = loader('AutoModelForMaskedLM', 'masked-language-model');
export const AutoModelForCausalLM = loader('AutoModelForCausalLM', 'language-model');
export const AutoModelForSeq2SeqLM = loader('AutoModelForSeq2SeqLM', 'language-model');

function callable(model: LoadedModel, close: () => void): TransformersModel {
  const generate = (first: HostTensor<BigInt64Array> | TransformersGenerateOptions, second = {}) =>
    write(model, first instanceof HostTensor ? { ...second, input_ids: first } : first);
  const members = { model, config: model.config, generate, dispose: async () => close() };
  return Object.assign((inputs: TransformersInputs) => run(model, inputs), members) as TransformersModel;
}

const INPUTS = {
  input_ids: 'inputIds',
  attention_mask: 'attentionMask',
  token_type_ids: 'tokenTypeIds',
  decoder_input_ids: 'decoderInputIds',
} as const;

async function run(model: LoadedModel, inputs: TransformersInputs): Promise<TransformersOutput> {
  const names = Object.keys(INPUTS) as (keyof typeof INPUTS)[];
  checkOptions('model', inputs as object);
  const unknown = Object.keys(inputs).find((name) => !names.includes(name as keyof typeof INPUTS));
  if (unknown !== undefined)
    throw new ArgumentError(`model: there is no input ${unknown}, expected some of ${names.join(', ')}`);
  const modelInputs: ModelInputs = {};
  for (const name of names) {
    const value = inputs[name];
    if (value !== undefined && model.takes(INPUTS[name])) modelInputs[INPUTS[name]] = rowsOf(name, value);
  }
  const found: [name: string, shape: readonly number[]][] = [];
  const values = await read(model, function* () {
    const tensors: Tensor[] = [];
    for (const [name, value] of Object.entries(yield* model.forwardInParts(modelInputs))) {
      if (!(value instanceof Tensor)) continue;
      found.push([snakeCase(name), value.shape]);
      tensors.push(value);
    }
    return tensors as [Tensor, ...Tensor[]];
  });
  return Object.fromEntries(found.map(([name, shape], i) => [name, new HostTensor(values[i] as Float32Array, shape)]));
}

function rowsOf(name: string, tensor: unknown): number[][] {
  if (tensor instanceof HostTensor && tensor.dims.length === 2)
    return Array.from(tensor, (row) => Array.from(row.data as BigInt64Array, Number));
  throw new ArgumentError(`${name} is ${describeValue(tensor)}, expected a tensor [B, T], as a tokenizer makes it`);
}

async function write(model: LoadedModel, options: TransformersGenerateOptions): Promise<HostTensor<BigInt64Array>> {
  const { input_ids, attention_mask, token_type_ids, decoder_input_ids, ...rest } = checkOptions('generate', options);
  for (const [name, value] of Object.entries({ token_type_ids, decoder_input_ids }))
    if (value !== undefined) rowsOf(name, value);
  const generate: GenerateOptions = generationArguments('generate', model, rest, ['streamer']);
  checkOptions('generate', { streamer: rest.streamer }, { streamer: STREAMER });
  const rows = rowsOf('input_ids', input_ids);
  const masks = attention_mask === undefined ? rows : rowsOf('attention_mask', attention_mask);
  const prompts = rows.map((row, i) => row.filter((_, t) => attention_mask === undefined || masks[i]?.[t] !== 0));
  const { streamer } = rest;
  const before = model.encoder === null ? rows : rows.map(() => [model.startId ?? 0]);
  streamer?.put([before[0] ?? []]);
  const { sequences, inputs } = await model.generate(prompts, {
    ...generate,
    onToken: streamer && (({ token }) => streamer.put([[token]])),
  });
  streamer?.end();
  const longest = sequences.reduce((max, { length }) => Math.max(max, length), 0);
  const pad = model.padId ?? model.endIds[0] ?? 0;
  return int64(
    sequences.map((sequence, i) => [
      ...(before[inputs[i] as number] as number[]),
      ...sequence,
      ...Array<number>(longest - sequence.length).fill(pad),
    ]),
  );
}
