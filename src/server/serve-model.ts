import { ContinuousBatching } from '../generate/index.js';
import type { LoadedModel } from '../pretrained/index.js';
import { tokenBoundOf } from '../tasks/chat/token-bound.js';
import { Embedder } from './embedder.js';
import { PipelineRunner } from './pipeline-runner.js';
import { Ranker } from './ranker.js';
import type { ServedModel } from './served-model.js';
import { Speaker } from './speaker.js';
import { Transcriber } from './transcriber.js';

/** Settings that all models of a server have in common. */
export interface ServingSettings {
  readonly parallel: number | undefined;
  readonly context: number | undefined;
  readonly maxWaiting: number;
  readonly imageHosts: readonly string[];
}

/**
 * Prepares a model for requests. With `reserve`, memory for all sequences is allocated at once. Rejects with
 * OutOfMemoryError.
 */
export async function serveModel(
  id: string,
  model: LoadedModel,
  { parallel, context, maxWaiting, imageHosts }: ServingSettings,
  reserve: boolean,
): Promise<ServedModel> {
  const writes = model.decoder !== null && !model.maxSourceLength && model.headKind === 'language-model';
  const size = context === undefined ? undefined : Math.min(context, model.maxLength);
  return {
    id,
    model,
    created: Math.floor(Date.now() / 1000),
    batching: writes ? new ContinuousBatching(model, { parallel, context: size, maxWaiting, reserve }) : null,
    embedder: Embedder.of(model, 64 * maxWaiting),
    ranker: Ranker.of(model, maxWaiting),
    transcriber: await Transcriber.of(model, maxWaiting),
    speaker: await Speaker.of(model, maxWaiting),
    pipelines: new PipelineRunner(model, maxWaiting),
    imageHosts,
    tokenBound: await tokenBoundOf(model.tokenizer),
  };
}

/** Stops accepting requests. Resolves when the model's current requests are answered. */
export async function closeModel(served: ServedModel): Promise<void> {
  await served.batching?.close();
  await idle(served);
  await served.batching?.dispose();
}

/** Resolves when no pass of the model runs. */
export async function idle({
  batching,
  embedder,
  ranker,
  transcriber,
  speaker,
  pipelines,
}: ServedModel): Promise<void> {
  await batching?.idle();
  await embedder?.idle();
  for (const turns of [ranker?.turns, transcriber?.turns, speaker?.turns, pipelines.turns]) await turns?.idle();
}
