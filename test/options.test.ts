// Checked by tsc, in `npm run lint`: options can be undefined in projects with `exactOptionalPropertyTypes`, as ours.
import type { EmbeddingsParams } from '@langchain/core/embeddings';
import { expectTypeOf, it } from 'vitest';
import type { SimdformerLanguageOptions, SimdformerOptions } from '../src/ai-sdk/index.js';
import type { ConstrainOptions } from '../src/constrain/index.js';
import type {
  ChatSimdformerSettings,
  SimdformerEmbeddingsFields,
  SimdformerRerankFields,
} from '../src/langchain/index.js';
import type { EncodeOptions, RankOptions, SparseOptions, TokenOptions } from '../src/models/index.js';
import type { HubOptions } from '../src/pretrained/hub-options.js';
import type { LoadModelOptions } from '../src/pretrained/load-model.js';
import type { OpenAIOptions, ServeOptions } from '../src/server/index.js';
import type * as tasks from '../src/tasks/index.js';
import type { ChatGenerateOptions, ChatOptions } from '../src/tasks/index.js';
import type * as simdformer from './simdformer.js';

type Options =
  | EncodeOptions
  | RankOptions
  | SparseOptions
  | TokenOptions
  | tasks.SentenceSimilarityOptions
  | tasks.CallOptions
  | tasks.FeatureExtractionOptions
  | tasks.FillMaskOptions
  | tasks.PipelineOptions
  | tasks.QuestionAnsweringOptions
  | tasks.TextClassificationOptions
  | tasks.TextGenerationOptions
  | tasks.TextRankingOptions
  | tasks.TextStreamerOptions
  | tasks.TokenClassificationOptions
  | tasks.ZeroShotClassificationOptions
  | ChatGenerateOptions
  | ChatOptions
  | ConstrainOptions
  | OpenAIOptions
  | ChatSimdformerSettings
  | Omit<SimdformerEmbeddingsFields, keyof EmbeddingsParams>
  | SimdformerRerankFields
  | SimdformerLanguageOptions
  | SimdformerOptions
  | ServeOptions
  | HubOptions
  | LoadModelOptions
  | simdformer.ArgOptions
  | simdformer.BatchedOptions
  | simdformer.BatchingOptions
  | simdformer.BceWithLogitsOptions
  | simdformer.ClampOptions
  | simdformer.CosineSimilarityOptions
  | simdformer.ElementLossOptions
  | simdformer.KlDivOptions
  | simdformer.NormOptions
  | simdformer.SmoothL1LossOptions
  | simdformer.TopKOptions
  | simdformer.VarianceOptions
  | simdformer.AdamWOptions
  | simdformer.AttentionOptions
  | simdformer.AttentionValueOptions
  | simdformer.AttentionWeightsOptions
  | simdformer.BpeOptions
  | simdformer.Conv1dOptions
  | simdformer.Conv2dOptions
  | simdformer.CrossEntropyOptions
  | simdformer.CtcLossOptions
  | simdformer.DecodingOptions
  | simdformer.DeviceOptions
  | simdformer.DropoutOptions
  | simdformer.EmbeddingOptions
  | simdformer.ApplyChatTemplateOptions
  | simdformer.EncodeBatchOptions
  | simdformer.ExtendOptions
  | simdformer.FitOptions
  | simdformer.GenerateOptions
  | simdformer.HeatMapOptions
  | simdformer.LayerNormOptions
  | simdformer.LinearOptions
  | simdformer.LoadOptions
  | simdformer.LossOptions
  | simdformer.MatmulOptions
  | simdformer.NllLossOptions
  | simdformer.PatchEmbeddingOptions
  | simdformer.Positions
  | simdformer.PromptCacheOptions
  | simdformer.ReduceOptions
  | simdformer.RmsNormOptions
  | simdformer.RotaryOptions
  | simdformer.SGDOptions
  | simdformer.SaveOptions
  | simdformer.SoftmaxOptions
  | simdformer.SpecialTokens
  | simdformer.TransformerOptions
  | simdformer.VocabularyOptions;

/** All that may be left out, as undefined. */
type Unset<T> = { [Name in keyof T as object extends Pick<T, Name> ? Name : never]: undefined };
/** The options of `T` that do not accept undefined. */
type Refusing<T> = T extends unknown ? (Unset<T> extends Partial<T> ? never : T) : never;

it('undefined counts as left out, by type too', () => {
  expectTypeOf<Refusing<Options>>().toBeNever();
  expectTypeOf<Refusing<{ name?: number }>>().not.toBeNever();
});
