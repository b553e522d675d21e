import { describeValue } from '../core/check.js';
import { ArgumentError, FormatError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { Memory } from '../nn/decoder-state.js';
import type { Encoder } from '../nn/encoder-decoder.js';
import type { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import { packed, rowsOf, TokenBatch, type Tokens } from '../nn/token-batch.js';
import { gather } from '../ops/move.js';
import {
  type ForwardOptions,
  type ModelInputs,
  type ModelOutput,
  PaddedBatch,
  type PaddingUse,
  type Rows,
  unpackMaps,
} from './inputs.js';
import { answerOutput, IGNORED, sequenceLoss, tokenLoss } from './losses.js';
import { checkHead, type PredictionHead } from './prediction-head.js';
import type { BatchLayout, FamilyContext, HeadKind } from './pretrained-model.js';
import { PromptModel } from './prompt-model.js';

/** The encoder's output for a source. */
export interface EncodedSource {
  readonly memory: Memory;
  /** The encoder's own output, [N, features], if the memory is a projection of it. Default: the memory's rows. */
  readonly encoderHidden?: Tensor | undefined;
  /** Converts [N, features] to the form of the source: [B, T, features], zero at padding. */
  readonly unpack: (x: Tensor) => Tensor;
}

/**
 * A model with an encoder, which reads a source, and a decoder, which attends to the encoder's output and writes a
 * target.
 */
export abstract class Seq2SeqModel extends PromptModel {
  abstract override readonly encoder: Encoder;
  abstract override readonly decoder: Stack;
  abstract override readonly head: PredictionHead | null;

  /** `heads` are those of the family. Throws FormatError for another head, and for a decoder without its encoder. */
  constructor(context: FamilyContext, heads: readonly HeadKind[]) {
    super(context);
    const { config } = context;
    const { architectures = [], is_encoder_decoder: isBoth = true } = config.values;
    const [name] = Array.isArray(architectures) ? architectures : [architectures];
    if (/(ForCausalLM|EncoderModel)$/.test(String(name)) || isBoth === false) {
      const what = `${describeValue(name)} of ${config.type}`;
      throw new FormatError(`config.json: ${what} is one stack alone, expected an encoder and a decoder`);
    }
    checkHead(context, heads);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    const answers = this.headKind === 'question-answering' ? (['startPositions', 'endPositions'] as const) : [];
    return ['inputIds', 'attentionMask', 'decoderInputIds', 'decoderAttentionMask', 'labels', ...answers];
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const isWanted = options.hiddenStates ?? false;
    const [encoderStates, decoderStates]: (Tensor[] | undefined)[] = isWanted ? [[], []] : [];
    const { memory, unpack, encoderHidden = memory.hidden } = this.encodeInputs(inputs, encoderStates, layout);
    const target = this.#targetOf(inputs);
    layout.target = target;
    const { batch } = target;
    if (memory.batch.size !== batch.size)
      throw new ShapeError(`forward: there are ${memory.batch.size} sources, but ${batch.size} targets`);
    const x = this.embedTarget(batch.ids, this.positionsOf(target));
    yield;
    const features = yield* this.decoder.forwardInParts(x, target.sequences, { memory, hiddenStates: decoderStates });
    const output: ModelOutput = { encoderLastHiddenState: unpack(encoderHidden) };
    if (encoderStates && decoderStates) {
      output.encoderHiddenStates = encoderStates.map(unpack);
      output.decoderHiddenStates = decoderStates.map((state) => target.unpack(state));
    }
    if (this.head === null) return { ...output, lastHiddenState: target.unpack(features) };
    return { ...output, ...this.#predict(this.head, features, target, inputs, options.loss ?? true) };
  }

  /** Reads the source. `hiddenStates` receives the input of each layer, and the output of the last one. */
  protected encodeInputs(inputs: ModelInputs, hiddenStates: Tensor[] | undefined, layout: BatchLayout): EncodedSource {
    const { inputIds, attentionMask } = inputs;
    const padded = PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, this.sourcePadding);
    layout.source = padded;
    const x = this.embedInputs(padded, inputs);
    const hidden = (this.encoder as Stack).forward(x, this.sequencesOf(padded, inputs), { hiddenStates });
    return { memory: { hidden, batch: padded.sequences }, unpack: (x) => padded.unpack(x) };
  }

  /** Handling of padding in sources. */
  protected get sourcePadding(): PaddingUse {
    return 'keptIfInside';
  }

  /** The input of the encoder's layers. */
  protected embedInputs(padded: PaddedBatch, _inputs: ModelInputs): Tensor {
    return this.embedSource(padded.batch.ids, this.positionsOf(padded));
  }

  /** The source as the encoder's layers take it. */
  protected sequencesOf(padded: PaddedBatch, _inputs: ModelInputs): Sequences {
    return padded.sequences;
  }

  /** int32 [N]: positions of tokens. */
  protected positionsOf({ batch }: PaddedBatch): Tensor {
    return batch.positions;
  }

  #predict(
    head: PredictionHead,
    features: Tensor,
    target: PaddedBatch,
    inputs: ModelInputs,
    wanted: boolean,
  ): ModelOutput {
    const { labels } = inputs;
    switch (this.headKind) {
      case 'question-answering':
        return answerOutput(head.forward(features, target.batch), target, inputs, wanted);
      case 'sequence-classification': {
        const logits = head.forward(this.representing(features, target, inputs), target.batch);
        return labels && wanted ? { logits, loss: sequenceLoss(logits, labels, this.settings) } : { logits };
      }
      default: {
        const logits = this.logitsOf(features);
        const output: ModelOutput = { logits: target.unpack(logits) };
        if (labels && wanted) output.loss = tokenLoss(logits, target.pack('labels', labels as Rows));
        return output;
      }
    }
  }

  /** The features that represent each sequence, [B, d]: by default those of its last end token. */
  protected representing(features: Tensor, { batch }: PaddedBatch, { inputIds }: ModelInputs): Tensor {
    const { counts, starts } = batch;
    const [end] = this.endIds;
    const ends = rowsGiven('inputIds', inputIds).rows.map((row) =>
      Array.from(row).flatMap((id, i) => (id === end ? [i] : [])),
    );
    const [first = []] = ends;
    if (first.length === 0 || ends.some(({ length }) => length !== first.length))
      throw new ArgumentError(
        `forward: inputIds have ${ends.map(({ length }) => length).join(', ')} end tokens (${end}), expected as many in each row, 1 or more`,
      );
    const indices = ends.map((endsOfRow, i) => {
      const last = endsOfRow.at(-1) as number;
      if (last < (counts[i] as number)) return (starts[i] as number) + last;
      throw new ShapeError(
        `forward: row ${i} of decoderInputIds has ${counts[i]} tokens, but that of inputIds ends at ${last}`,
      );
    });
    return gather(features, this.device.tensor(Int32Array.from(indices)));
  }

  /** Input of the decoder: the given ids, or the labels shifted right by one, after the start token. */
  #targetOf({ inputIds, decoderInputIds, decoderAttentionMask, labels }: ModelInputs): PaddedBatch {
    const name = 'decoderInputIds';
    const toShift = this.headKind === 'language-model' && labels ? (labels as Rows) : this.#sourceToShift(inputIds);
    const targets = decoderInputIds ?? (toShift && this.#shifted(toShift));
    if (targets === undefined)
      throw new ArgumentError(`forward: ${name} is missing, and so are labels that it follows from`);
    return PaddedBatch.from(this.device, name, targets, decoderAttentionMask, 'keptIfInside');
  }

  #sourceToShift(inputIds: Tokens | undefined): Tokens | undefined {
    return this.shiftsSource ? inputIds : undefined;
  }

  #shifted(tokens: Tokens): Tokens {
    const { rows, time } = rowsGiven('labels', tokens);
    const pad = this.settings.numberOrNull('pad_token_id');
    const shifted = rows.map((row) => {
      const ids = Array.from(row, (id) => {
        if (id !== IGNORED) return id;
        if (pad === null)
          throw new FormatError('config.json: there is no pad_token_id, which stands for labels of -100');
        return pad;
      });
      return [this.startOf(ids, pad), ...ids.slice(0, -1)];
    });
    return time === null ? packed(shifted) : shifted;
  }

  /** First token of a target with the tokens `ids`. */
  protected startOf(_ids: readonly number[], _pad: number | null): number {
    const { startId } = this;
    if (startId !== null) return startId;
    throw new FormatError('config.json: there is no decoder_start_token_id, which targets begin with');
  }

  /** True if the decoder reads the shifted source when no target is given. */
  protected get shiftsSource(): boolean {
    return this.headKind !== 'language-model';
  }

  protected override mapsOf(maps: AttentionMaps, _: ModelOutput, { source, target }: BatchLayout): ModelOutput {
    return {
      encoderAttentions: unpackMaps(maps.encoder, source),
      decoderAttentions: unpackMaps(maps.decoder, target),
      crossAttentions: unpackMaps(maps.cross, target, source),
    };
  }

  override get startId(): number | null {
    return this.settings.numberOrNull('decoder_start_token_id');
  }
}

/** The rows of ids. Throws ArgumentError for a batch of tokens without padding. */
export function rowsGiven(name: string, tokens: Tokens | undefined): ReturnType<typeof rowsOf> {
  if (tokens !== undefined && !(tokens instanceof TokenBatch)) return rowsOf(name, tokens, null);
  throw new ArgumentError(
    `forward: ${name} are ${describeValue(tokens)}, expected rows of ids; or give decoderInputIds`,
  );
}
