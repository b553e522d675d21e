import { ContinuousBatching } from '../generate/index.js';
import type { LoadedModel } from '../pretrained/index.js';
import { tokenBoundOf } from '../tasks/chat/token-bound.js';
import { Embedder } from './embedder.js';
import type { JobQueue } from './job-queue.js';
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

/** Settings of a served model. */
export interface Serving {
  /** True to allocate memory for all sequences at once. */
  readonly reserve: boolean;
  /** The choice of adapters in a batch with several. Default: the active ones. */
  readonly adapter?: readonly string[] | undefined;
  /** A batch that the choices share. Default: a new one. */
  readonly batching?: ContinuousBatching | null | undefined;
}

/** Prepares a model for requests. Rejects with OutOfMemoryError. */
export async function serveModel(
  id: string,
  model: LoadedModel,
  { parallel, context, maxWaiting, imageHosts }: ServingSettings,
  { reserve, adapter, batching }: Serving,
): Promise<ServedModel> {
  const writes = model.decoder !== null && !model.maxSourceLength && model.headKind === 'language-model';
  const size = context === undefined ? undefined : Math.min(context, model.maxLength);
  const batch = () => (writes ? new ContinuousBatching(model, { parallel, context: size, maxWaiting, reserve }) : null);
  return {
    id,
    model,
    created: Math.floor(Date.now() / 1000),
    adapter,
    batching: batching === undefined ? batch() : batching,
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
export async function idle(served: ServedModel): Promise<void> {
  await served.batching?.idle();
  await served.embedder?.idle();
  for (const queue of jobQueuesOf(served)) await queue.idle();
}

/** The lines of a model's jobs. */
export function jobQueuesOf({ ranker, transcriber, speaker, pipelines }: ServedModel): JobQueue[] {
  return [ranker, transcriber, speaker, pipelines].flatMap((runner) => (runner ? [runner.jobs] : []));
}
