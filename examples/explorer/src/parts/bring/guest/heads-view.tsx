import { useSignal } from '@preact/signals';
import { useMemo, useState } from 'preact/hooks';
import type { AttentionTrace, HeadId, Trace } from 'simdformer/inspect';
import { Choice } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { HeadFigure, type Pointed } from '../../look-inside/head-figure.js';
import { HeadGrid } from '../../look-inside/head-grid.js';
import {
  type Attention,
  attentions,
  type HeadWeights,
  headView,
  layersOf,
  ofTokens,
  sameHead,
} from '../../look-inside/heads.js';
import type { Reading, Token } from './guest.js';
import { HeadsOff, useHeadsOff, useWithoutHeads } from './heads-off.js';

/** Attention of every layer and head on a text, and what the model predicts without some of them. */
export function HeadsView({ reading, trace: all }: { reading: Reading; trace: Trace }) {
  const [kept, setOff] = useHeadsOff();
  const off = useMemo(() => kept.filter((head) => isIn(all, head)), [kept, all]);
  const without = useWithoutHeads(reading, off);
  const trace = without?.trace ?? all;
  const kinds = kindsOf(trace);
  const [wanted, setWanted] = useState<Attention>('cross');
  const kind = kinds.includes(wanted) ? wanted : (kinds[0] as Attention);
  const layers = layersOf(trace, kind);
  const heads = (layers[0] as AttentionTrace).weights.shape[0] as number;
  const views = useMemo(() => {
    const tokens = tokensOf(reading, kind);
    return layers.flatMap((layer, i) =>
      Array.from({ length: heads }, (_, head) => headView(layer, { attention: kind, layer: i, head }, tokens)),
    );
  }, [reading, trace, kind]);
  const shown = (
    <Heads views={views} heads={heads} off={off} onOff={setOff}>
      {kinds.length > 1 && (
        <div class="controls">
          <Choice<Attention>
            label="Which attention"
            value={kind}
            options={Object.fromEntries(kinds.map((each) => [each, attentions[each]])) as Record<Attention, string>}
            onChange={setWanted}
          />
        </div>
      )}
    </Heads>
  );
  const predicts = reading.labels !== null || reading.guesses(0).length > 0;
  return (
    <>
      {shown}
      {predicts && <HeadsOff reading={reading} without={without} off={off} onOff={setOff} />}
    </>
  );
}

/** The kinds of attention that a trace shows: none for recurrent models. */
export function kindsOf(trace: Trace): Attention[] {
  return (Object.keys(attentions) as Attention[]).filter((kind) => layersOf(trace, kind).length > 0);
}

function isIn(trace: Trace, { attention, layer, head }: HeadId): boolean {
  const [heads = 0] = layersOf(trace, attention)[layer]?.weights.shape ?? [];
  return head < heads;
}

function tokensOf({ source, target, guest }: Reading, kind: Attention): Pick<HeadWeights, 'queries' | 'keys'> {
  const names = (tokens: readonly Token[] | null) => tokens?.map(({ name }) => name) ?? [];
  if (kind === 'encoder') return { queries: names(source), keys: names(source) };
  if (kind === 'decoder') return { queries: names(target), keys: names(target) };
  const ends = guest.model.endIds.slice(0, 1).map((id) => guest.nameOf(id));
  // A query is named by the token that it predicts.
  return { queries: [...names(target).slice(1), ends[0] ?? 'end'], keys: names(source) };
}

interface HeadsProps {
  /** Layer by layer. */
  readonly views: readonly HeadWeights[];
  /** Number of heads in a layer. */
  readonly heads: number;
  /** Heads that are switched off, and what to do when a person switches one. */
  readonly off?: readonly HeadId[];
  readonly onOff?: (off: readonly HeadId[]) => void;
  readonly children?: preact.ComponentChildren;
}

/** Shows all heads of one attention small, and the chosen head large. */
export function Heads({ views, heads, off = [], onOff, children }: HeadsProps) {
  const [chosen, setChosen] = useState<{ layer: number; head: number } | null>(null);
  const [row, setRow] = useState<number | null>(null);
  const pointed = useSignal<Pointed | null>(null);
  const layers = views.length / heads;
  const [layer, head] = [Math.min(chosen?.layer ?? layers - 1, layers - 1), Math.min(chosen?.head ?? 0, heads - 1)];
  const view = views[layer * heads + head] as HeadWeights;
  const isOff = off.some((other) => sameHead(other, view.id));
  return (
    <>
      <Figure
        title="All heads at once"
        says="Every small picture is one head; each row of pictures is a layer. A strong spot means that the token of its row attends much to the token of its column. Choose a head to enlarge it."
      >
        {children}
        <HeadGrid
          views={views}
          heads={heads}
          chosen={view.id}
          pinned={null}
          off={off}
          onChoose={(id: HeadId) => setChosen({ layer: id.layer, head: id.head })}
        />
      </Figure>
      <HeadFigure
        view={view}
        pointed={pointed}
        row={row}
        onRow={setRow}
        says={ofTokens[view.id.attention]}
        isFollowed={false}
        isOff={isOff}
      >
        {onOff && (
          <button
            type="button"
            aria-pressed={isOff}
            onClick={() => onOff(isOff ? off.filter((other) => !sameHead(other, view.id)) : [...off, view.id])}
          >
            Switch off
          </button>
        )}
      </HeadFigure>
    </>
  );
}
