import { FormatError } from '../../../core/errors.js';
import type { Tensor } from '../../../core/tensor.js';
import { Sequences } from '../../../nn/sequences.js';
import { mul } from '../../../ops/binary.js';
import type { PretrainedTokenizer } from '../../../tokenizers/pretrained-tokenizer.js';
import { type EncodedTexts, InputModule, type ReadOptions, type TextFeatures, type TextTask } from '../features.js';
import { type ModuleFolder, matrixSize } from '../module-folder.js';

/** A fixed weight for each token of a text, such as its inverse document frequency. No model runs. */
export class SparseStaticEmbedding extends InputModule {
  /** float32 [vocabulary] */
  readonly weight: Tensor;
  readonly #tokenizer: PretrainedTokenizer;
  override readonly folder: string;

  constructor({ init, path }: Pick<ModuleFolder, 'init' | 'path'>, size: number, tokenizer: PretrainedTokenizer) {
    super();
    this.folder = path;
    this.weight = init.constant([size], 1);
    this.#tokenizer = tokenizer;
  }

  static async read(folder: ModuleFolder): Promise<SparseStaticEmbedding> {
    const entries = await folder.tensors();
    const [size] = matrixSize(folder.path, entries, 'weight', 1) as [number];
    const tokenizer = await folder.ownTokenizer();
    if (tokenizer === null) throw new FormatError(`${folder.path || 'the folder'} has no tokenizer.json`);
    const module = new SparseStaticEmbedding(folder, size, tokenizer);
    await module.readState(entries);
    return module;
  }

  override get maxTokens(): number {
    const limit = this.#tokenizer.config?.model_max_length;
    return typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY;
  }

  override token(id: number): string | undefined {
    return this.#tokenizer.idToToken(id);
  }

  override async encode(texts: readonly string[], { prompt }: ReadOptions): Promise<EncodedTexts> {
    const max = this.maxTokens;
    const limits = Number.isSafeInteger(max) ? ({ truncation: true, maxLength: max } as const) : {};
    const { inputIds } = await this.#tokenizer.encodeBatchAsync(
      texts.map((text) => prompt + text),
      { ...limits, addSpecialTokens: false, returnOffsets: false },
    );
    return { inputIds, tokenTypeIds: null, promptTokens: 0, attentionMask: null };
  }

  override read(encoded: EncodedTexts, task: TextTask): TextFeatures {
    const { device, size } = this.weight;
    const present = new Float32Array(encoded.inputIds.length * size);
    for (const [row, ids] of encoded.inputIds.entries())
      for (const id of ids) if (id < size) present[row * size + id] = 1;
    const sentence = mul(device.tensor(present, [encoded.inputIds.length, size]), this.weight);
    // The batch counts tokens. Later modules do not use it.
    const batch = Sequences.of(
      device,
      encoded.inputIds.map(({ length }) => Math.max(1, length)),
    );
    return { encoded, task, batch, tokens: null, sentence, isSparse: true, maxActiveDims: null, compared: null };
  }
}
