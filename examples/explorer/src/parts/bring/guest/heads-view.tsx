import { useSignal } from '@preact/signals';
import { useMemo, useState } from 'preact/hooks';
import type { AttentionTrace, HeadId } from 'simdformer/inspect';
import { Choice } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { HeadFigure, type Pointed } from '../../look-inside/head-figure.js';
import { HeadGrid } from '../../look-inside/head-grid.js';
import { type Attention, attentions, type HeadWeights, headView, layersOf, ofTokens } from '../../look-inside/heads.js';
import type { Reading, Token } from './guest.js';

/** Attention of every layer and head on a text. */
export function HeadsView({ reading }: { reading: Reading }) {
  const { trace } = reading;
  const kinds = (Object.keys(attentions) as Attention[]).filter((kind) => layersOf(trace, kind).length > 0);
  const [wanted, setWanted] = useState<Attention>('cross');
  const kind = kinds.includes(wanted) ? wanted : (kinds[0] as Attention);
  const layers = layersOf(trace, kind);
  const heads = (layers[0] as AttentionTrace).weights.shape[0] as number;
  const views = useMemo(() => {
    const tokens = tokensOf(reading, kind);
    return layers.flatMap((layer, i) =>
      Array.from({ length: heads }, (_, head) => headView(layer, { attention: kind, layer: i, head }, tokens)),
    );
  }, [reading, kind]);
  return (
    <Heads views={views} heads={heads}>
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
  readonly children?: preact.ComponentChildren;
}

/** Shows all heads of one attention small, and the chosen head large. */
export function Heads({ views, heads, children }: HeadsProps) {
  const [chosen, setChosen] = useState<{ layer: number; head: number } | null>(null);
  const [row, setRow] = useState<number | null>(null);
  const pointed = useSignal<Pointed | null>(null);
  const layers = views.length / heads;
  const [layer, head] = [Math.min(chosen?.layer ?? layers - 1, layers - 1), Math.min(chosen?.head ?? 0, heads - 1)];
  const view = views[layer * heads + head] as HeadWeights;
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
          off={[]}
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
      />
    </>
  );
}
