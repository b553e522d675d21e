// Reads the modules that sentence-transformers runs after a model.

import { FormatError } from '../../core/errors.js';
import type { HeadKind, PretrainedModel } from '../../models/pretrained-model.js';
import { OF_TOKENS, type SentenceModule } from '../../models/retrieval/features.js';
import {
  INPUT_TYPES,
  isTable,
  isWordList,
  type ModuleFolder,
  matrixSize,
  shortType,
} from '../../models/retrieval/module-folder.js';
import { BgeM3 } from '../../models/retrieval/modules/bge-m3.js';
import { Dense } from '../../models/retrieval/modules/dense.js';
import { idsOfWords, MultiVectorMask } from '../../models/retrieval/modules/multi-vector-mask.js';
import { Normalize } from '../../models/retrieval/modules/normalize.js';
import { StaticEmbedding } from '../../models/retrieval/modules/static-embedding.js';
import { type ReadingSettings, Transformer } from '../../models/retrieval/modules/transformer.js';
import { readModule } from '../../models/retrieval/registry.js';
import { SentenceHead } from '../../models/retrieval/sentence-head.js';
import type { StoredElsewhere } from '../../models/saved-pretrained.js';
import type { WeightEntry, Weights } from '../../models/weight-entry.js';
import { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { contentOf, type TokenizerConfig } from '../../tokenizers/json.js';
import { loadModelTokenizer } from '../load-tokenizer.js';
import type { ModelSource } from '../source.js';
import { openTensors } from '../weights.js';
import { isColbert, isModel2vec, partOf, pathInside, routerConfig, type SentenceLayout } from './layout.js';
import { type FolderSettings, folderSettings, type LateInteraction, readingSettings } from './settings.js';
import { staticSource } from './static-source.js';

/** A folder of sentence-transformers, and the model that was loaded from it. */
export interface SentenceFolder {
  readonly source: ModelSource;
  /** Null for a folder without modules.json. */
  readonly layout: SentenceLayout | null;
  readonly model: PretrainedModel;
  /** The weights of the model's own file. */
  readonly weights: Weights;
  /** True to read only headers. The parameters of modules are then zeros. */
  readonly headersOnly?: boolean | undefined;
  /** Loads another model of the folder. Routers can have several. */
  loadPart(source: ModelSource, head: HeadKind): Promise<PretrainedModel>;
}

/** The modules of a folder, or null if it has none. Throws FormatError for damaged files and unknown modules. */
export async function sentenceHead(folder: SentenceFolder): Promise<SentenceHead | null> {
  const { layout, model, source } = folder;
  if (isColbert(model.config)) return colbertHead(folder);
  if (layout === null) return isModel2vec(await rootConfig(source)) ? model2vecHead(folder) : null;
  const settings = await folderSettings(source, false);
  const made: SentenceModule[] = [];
  const build = new Builder(folder, layout, settings);
  for (const { type, path } of layout.modules) {
    const module = await build.module(type, path);
    if (module) made.push(module);
  }
  const { lateInteraction } = settings;
  const steps = [...made, ...impliedModules(lateInteraction, model)];
  return new SentenceHead(steps, settings.sentence, await bgeM3(folder));
}

async function rootConfig(source: ModelSource): Promise<PretrainedModel['config']> {
  return (await source.has('config.json')) ? source.json('config.json') : {};
}

/** Builds the modules of a folder. */
class Builder {
  readonly #init: Initializer;

  constructor(
    private readonly folder: SentenceFolder,
    private readonly layout: SentenceLayout,
    private readonly settings: FolderSettings,
  ) {
    this.#init = new Initializer(folder.model.device, 0, true);
  }

  /** Null for a module that has no effect. */
  async module(type: string, path: string): Promise<SentenceModule | null> {
    return INPUT_TYPES.includes(shortType(type))
      ? this.#input(type, path)
      : readModule(type, this.#folderOf(type, path));
  }

  async #input(type: string, path: string): Promise<Transformer> {
    const { source, model, loadPart } = this.folder;
    const kind = shortType(type);
    const part = partOf(source, path);
    const isOwn = path === this.layout.backbone.path;
    const head = kind === 'MLMTransformer' ? 'masked-language-model' : 'none';
    const read = isOwn ? model : await loadPart(isTable(type) ? await staticSource(part) : part, head);
    const owned = isOwn ? null : read;
    if (kind === 'StaticEmbedding') return new StaticEmbedding(read, await staticSettings(part), owned);
    if (isWordList(type)) return (await import('./words.js')).wordModule(kind, part, read, owned);
    const { lateInteraction } = this.settings;
    const reading = await readingSettings(part);
    const later = lateInteraction ? { ...lateInteraction.reading, markers: lateInteraction.markers } : {};
    const defined = Object.entries(reading).filter(([, value]) => value !== null);
    return new Transformer(read, { ...later, ...Object.fromEntries(defined) }, owned);
  }

  #folderOf(type: string, path: string): ModuleFolder {
    const { source, model } = this.folder;
    const isRouter = ['Router', 'Asym'].includes(shortType(type));
    return {
      path,
      init: this.#init,
      readsTokens: this.settings.lateInteraction?.skipped != null,
      config: async (file = 'config.json') => {
        if (isRouter) return routerConfig(source, path);
        const name = pathInside(path, file);
        return (await source.has(name)) ? source.json(name) : {};
      },
      tensors: () => this.#tensors(path),
      module: async (inner, folder) => {
        const module = await this.module(inner, pathInside(path, folder));
        if (module) return module;
        throw new FormatError(`${path}: a router has ${inner}, which does nothing`);
      },
      tokenizer: () => model.tokenizer,
      ownTokenizer: () => loadModelTokenizer(partOf(source, path), { vocabulary: 'bert' }),
    };
  }

  /** The tensors of a module, in memory. */
  async #tensors(path: string): Promise<ReadonlyMap<string, WeightEntry>> {
    const { source, headersOnly = false } = this.folder;
    const weights = source.projections?.get(path);
    const projection = weights && new Map([...weights].map(([name, entry]) => [`linear.${name}`, entry]));
    if (projection) return headersOnly ? zerosOf(projection) : projection;
    for (const name of ['model.safetensors', 'pytorch_model.bin']) {
      if (!(await source.has(pathInside(path, name)))) continue;
      const file = await openTensors(source, pathInside(path, name));
      try {
        return headersOnly ? zerosOf(file.tensors) : await inMemory(file.tensors);
      } finally {
        file.close();
      }
    }
    throw new FormatError(`${source.name}: ${path} has no weights: no model.safetensors and no pytorch_model.bin`);
  }
}

/**
 * Entries that stay readable after their file is closed. Integer tensors are left out, because no module needs them.
 */
async function inMemory(tensors: ReadonlyMap<string, WeightEntry>): Promise<ReadonlyMap<string, WeightEntry>> {
  const { ComputedWeight } = await import('../computed-weight.js');
  const entries: [string, WeightEntry][] = [];
  for (const [name, entry] of tensors) {
    if (!isFloat(entry)) continue;
    const values = Float32Array.from(await entry.data());
    entries.push([name, new ComputedWeight(entry.shape, async () => values)]);
  }
  return new Map(entries);
}

const isFloat = ({ dtype }: WeightEntry) => /^B?F/.test(dtype);

/** Entries of the same shapes with zeros. The values in the file are not read. */
async function zerosOf(tensors: ReadonlyMap<string, WeightEntry>): Promise<ReadonlyMap<string, WeightEntry>> {
  const { ComputedWeight } = await import('../computed-weight.js');
  const zeros = (entry: WeightEntry) => new ComputedWeight(entry.shape, async () => new Float32Array(entry.size));
  return new Map([...tensors].flatMap(([name, entry]) => (isFloat(entry) ? [[name, zeros(entry)] as const] : [])));
}

/** Modules that PyLate and ColBERT apply without listing them. */
function impliedModules(late: LateInteraction | null, { tokenizer }: PretrainedModel): SentenceModule[] {
  if (late === null || late.skipped === null) return [];
  const skipped = idsOfWords(late.skipped, tokenizer);
  return [new MultiVectorMask({ skipped, skippedIn: ['document'], keptOnly: null }), new Normalize(OF_TOKENS)];
}

/** Stanford's ColBERT. The projection of tokens is in the model's own file. */
async function colbertHead({ source, model, weights, headersOnly }: SentenceFolder): Promise<SentenceHead> {
  const { sentence, lateInteraction } = await folderSettings(source, true);
  const late = lateInteraction as LateInteraction;
  const tensors = headersOnly ? await zerosOf(weights.tensors) : weights.tensors;
  const [outputs, inputs] = matrixSize('', tensors, 'linear.weight', 2) as [number, number];
  const linear = new Linear(new Initializer(model.device, 0, true), inputs, outputs, false);
  await linear.readState(new Map([['weight', tensors.get('linear.weight') as WeightEntry]]));
  const reading: ReadingSettings = { ...late.reading, markers: late.markers };
  const steps = [new Transformer(model, reading), new Dense({ linear, names: OF_TOKENS, folder: '' })];
  return new SentenceHead([...steps, ...impliedModules(late, model)], sentence);
}

/** A folder that model2vec wrote, without modules.json. */
async function model2vecHead({ source, model }: SentenceFolder): Promise<SentenceHead> {
  const { normalize } = await rootConfig(source);
  const input = new StaticEmbedding(model, await staticSettings(source));
  return new SentenceHead(normalize === false ? [input] : [input, new Normalize()]);
}

/** Static embeddings read texts without special tokens, up to tokenizer.json's limit. model2vec drops unknown words. */
async function staticSettings(source: ModelSource): Promise<ReadingSettings> {
  const { truncation } = await source.json('tokenizer.json');
  const limit = (truncation as { max_length?: number } | null)?.max_length;
  const dropsUnknown = isModel2vec(await rootConfig(source));
  return { addSpecialTokens: false, maxTokens: limit ?? Number.POSITIVE_INFINITY, dropsUnknown };
}

const SPARSE = 'sparse_linear.pt';
const COLBERT = 'colbert_linear.pt';

/** BGE-M3's sparse and multi-vector outputs, or null for other models. */
async function bgeM3({ source, model, headersOnly }: SentenceFolder): Promise<BgeM3 | null> {
  if (!(await source.has(SPARSE)) || !(await source.has(COLBERT))) return null;
  const linears: Linear[] = [];
  for (const name of [SPARSE, COLBERT]) {
    const file = await openTensors(source, name);
    try {
      const tensors = headersOnly ? await zerosOf(file.tensors) : file.tensors;
      const [outputs, inputs] = matrixSize(name, tensors, 'weight', 2) as [number, number];
      const linear = new Linear(new Initializer(model.device, 0, true), inputs, outputs, tensors.has('bias'));
      await linear.readState(tensors);
      linears.push(linear);
    } finally {
      file.close();
    }
  }
  const [sparse, colbert] = linears as [Linear, Linear];
  const config = (model.tokenizer?.config ?? {}) as TokenizerConfig & Record<string, string | undefined>;
  const special = ['cls_token', 'eos_token', 'pad_token', 'unk_token'].map((key) => contentOf(config[key]));
  return new BgeM3(
    sparse,
    colbert,
    idsOfWords(
      special.filter((token) => token !== undefined),
      model.tokenizer,
    ),
  );
}

/** The files of the modules' parameters, by their names in the whole model. */
export function sentenceFiles(model: PretrainedModel): Map<string, StoredElsewhere> {
  const modules = (model.sentenceHead?.modules() ?? []) as (SentenceModule & { folder?: string | null })[];
  const pieces = model.statePieces();
  const found = new Map<string, StoredElsewhere>();
  for (const module of modules) {
    if (typeof module.folder !== 'string') continue;
    for (const modulePiece of module.statePieces()) {
      const piece = pieces.find(({ tensor, start }) => tensor === modulePiece.tensor && start === modulePiece.start);
      if (piece)
        found.set(piece.name, { file: pathInside(module.folder, 'model.safetensors'), name: modulePiece.name });
    }
  }
  return found;
}
