import { useSignal } from '@preact/signals';
import { useMemo, useState } from 'preact/hooks';
import { type HeadId, withoutHeads } from 'simdformer/inspect';
import { placeInAddress } from '../../address.js';
import { Choice } from '../../draw/controls.js';
import { Figure } from '../../draw/figure.js';
import { weightText } from '../../draw/format.js';
import { type Pronunciation, pronounce } from '../../pronounce.js';
import type { Session } from '../../session.js';
import { type Traced, traceOf, useTrace } from '../../traced.js';
import { useResult } from '../../use-result.js';
import type { PartProps } from '../parts.js';
import { HeadFigure, type Pointed } from './head-figure.js';
import { HeadGrid } from './head-grid.js';
import { HeadTable } from './head-table.js';
import {
  type Attention,
  attentions,
  type HeadView,
  layersOf,
  nameOf,
  ofTokens,
  overlap,
  promise,
  sameHead,
  statisticsOf,
  viewOf,
} from './heads.js';
import { SwitchedOff } from './switched-off.js';
import './look-inside.css';

/** Result of a model for a word without some heads. */
export interface Without {
  readonly off: readonly HeadId[];
  /** Trace of the word and of the answer that it gave with all heads. */
  readonly traced: Traced;
  /** Its answer without the heads. */
  readonly answer: Pronunciation;
}

/** Attention of every layer and head on the word. */
export default function LookInside({ session }: PartProps) {
  const before = useTrace(session);
  if (before === null) return <p class="empty">The heads appear here when the model has pronounced a word.</p>;
  const { encoderLayers, decoderLayers, heads } = before.said.model.transformer.config;
  // The selection stays while the model learns, and is lost with a model that has other heads.
  return <Heads key={`${encoderLayers} ${decoderLayers} ${heads}`} session={session} before={before} />;
}

function Heads({ session, before }: PartProps & { before: Traced }) {
  const { said } = before;
  const [chosen, setChosen] = useState<HeadId>(() => firstHead(before));
  const [row, setRow] = useState<number | null>(placeInAddress()?.token ?? null);
  const [pinned, setPinned] = useState<HeadId | null>(null);
  const [off, setOff] = useState<readonly HeadId[]>([]);
  const pointed = useSignal<Pointed | null>(null);
  const without = useWithout(session, said, off);
  const traced = without?.traced ?? before;
  const rows = useResult(
    session,
    useMemo(() => ({ ...traced, model: said.model }), [traced]),
    ({ trace }) => statisticsOf(trace),
  );
  const { heads } = said.model.transformer.config;
  const { attention } = chosen;
  const views = useMemo(
    () =>
      layersOf(traced.trace, attention).flatMap((_, layer) =>
        Array.from({ length: heads }, (_, head) => viewOf(traced, { attention, layer, head })),
      ),
    [traced, attention, heads],
  );
  const view = useMemo(() => viewOf(traced, chosen), [traced, chosen]);
  const pinnedView = useMemo(() => pinned && viewOf(traced, pinned), [traced, pinned]);

  const isOff = (head: HeadId) => off.some((other) => sameHead(other, head));
  const switchOn = (heads: readonly HeadId[]) =>
    setOff(off.filter((head) => !heads.some((other) => sameHead(other, head))));
  const toggle = (head: HeadId) => (isOff(head) ? switchOn([head]) : setOff([...off, head]));
  const layerOf = ({ attention, layer }: HeadId) =>
    Array.from({ length: heads }, (_, head) => ({ attention, layer, head }));
  const figure = (shown: HeadView) => (
    <HeadFigure
      view={shown}
      pointed={pointed}
      row={row}
      onRow={setRow}
      isOff={isOff(shown.id)}
      says={said.model.readsText ? ofTokens[shown.id.attention] : undefined}
    >
      <button
        type="button"
        aria-pressed={pinned !== null && sameHead(pinned, shown.id)}
        onClick={() => setPinned(pinned && sameHead(pinned, shown.id) ? null : shown.id)}
      >
        Pin to compare
      </button>
      <button type="button" aria-pressed={isOff(shown.id)} onClick={() => toggle(shown.id)}>
        Switch off
      </button>
      <button type="button" onClick={() => setOff([...off, ...layerOf(shown.id).filter((head) => !isOff(head))])}>
        Switch off its layer
      </button>
    </HeadFigure>
  );
  const compared = pinnedView !== null && !sameHead(pinnedView.id, chosen) ? pinnedView : null;
  return (
    <div class="look-inside">
      <Figure
        title="All heads at once"
        says="Every small picture is one head; each row of pictures is a layer. A strong spot means that the token of its row attends much to the token of its column. Choose a head to enlarge it, and pin it to compare it with another."
      >
        <div class="controls">
          <Choice<Attention>
            label="Which attention"
            value={chosen.attention}
            options={attentions}
            onChange={(attention) =>
              setChosen({
                ...chosen,
                attention,
                layer: Math.min(chosen.layer, layersOf(traced.trace, attention).length - 1),
              })
            }
          />
          <span class="promise">{promise(chosen.attention, said.model.readsText)}</span>
        </div>
        <HeadGrid views={views} heads={heads} chosen={chosen} pinned={pinned} off={off} onChoose={setChosen} />
      </Figure>
      <div class="columns">
        {figure(view)}
        {compared && figure(compared)}
      </div>
      {compared && <Comparison a={view} b={compared} />}
      <SwitchedOff before={before} without={without} off={off} onSwitchOn={switchOn} />
      {rows && <HeadTable rows={rows} chosen={chosen} onChoose={setChosen} />}
    </div>
  );
}

/** Returns the head in the address. Default: the first head of the last cross-attention. */
function firstHead({ said, trace }: Traced): HeadId {
  const { attention = 'cross', layer = Number.POSITIVE_INFINITY, head = 0 } = placeInAddress() ?? {};
  const { heads } = said.model.transformer.config;
  return { attention, layer: Math.min(layer, layersOf(trace, attention).length - 1), head: Math.min(head, heads - 1) };
}

function Comparison({ a, b }: { a: HeadView; b: HeadView }) {
  if (a.id.attention !== b.id.attention) return null;
  return (
    <p class="note">
      {nameOf(a.id)} and {nameOf(b.id)} put {weightText(overlap(a, b))} of their weight in the same places.
    </p>
  );
}

/** Returns the result without some heads. Null while all heads are on, and until there is an answer. */
function useWithout(session: Session, said: Pronunciation, off: readonly HeadId[]): Without | null {
  const question = useMemo(() => (off.length === 0 ? null : { model: said.model, said, off }), [said, off]);
  const answer = useResult(session, question, ({ model, said, off }): Promise<Without> => {
    return withoutHeads(model.transformer, off, async () => ({
      off,
      traced: await traceOf(said),
      answer: await pronounce(model, said.word, said.decoding, said.forced),
    }));
  });
  return answer?.traced.said === said ? answer : null;
}
