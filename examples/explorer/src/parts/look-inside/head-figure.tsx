import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { addressOf } from '../../address.js';
import { sequentialScale } from '../../draw/colours.js';
import { Figure } from '../../draw/figure.js';
import type { Cell } from '../../draw/grid-layout.js';
import { HeatMap } from '../../draw/heat-map.js';
import { theme } from '../../theme.js';
import { Arcs } from './arcs.js';
import { type Attention, attentions, type HeadWeights, isExplained, sayWeight, strongest } from './heads.js';
import { Products } from './products.js';

/** A cell, and the attention that it belongs to: heads that are compared point at the same one. */
export interface Pointed extends Cell {
  readonly attention: Attention;
}

interface HeadFigureProps {
  readonly view: HeadWeights;
  readonly pointed: Signal<Pointed | null>;
  /** The token whose row a person came for or chose. */
  readonly row: number | null;
  readonly onRow: (row: number) => void;
  readonly isOff?: boolean;
  /** Meaning of a row and its colours. Default: words and their sounds. */
  readonly says?: string | undefined;
  /** True if the head's numbers can be followed in another part of the page. Default: true. */
  readonly isFollowed?: boolean;
  readonly children?: ComponentChildren;
}

const ofWords = {
  encoder: 'Each row is a letter. Its colours show how much it attends to the letters above.',
  decoder:
    'Each row is a sound of the output, which attends to earlier ones. The corner is empty, because later sounds do not exist yet.',
  cross: 'Each row is the next sound. Its colours show from which letters it is read.',
};

/** One head, large: its weights as a heat map and as arcs, and the vectors behind the weight that is pointed at. */
export function HeadFigure({
  view,
  pointed,
  row,
  onRow,
  isOff = false,
  says = ofWords[view.id.attention],
  isFollowed = true,
  children,
}: HeadFigureProps) {
  const { id, queries, keys, weights, causal } = view;
  const [arcRow, setArcRow] = useState<number | null>(null);
  const most = useMemo(() => strongest(view, row !== null && row < queries.length ? row : undefined), [view, row]);
  const colour = useMemo(() => sequentialScale(), [theme.value]);
  const values = useMemo(
    () =>
      causal
        ? weights.map((weight, i) => (i % keys.length > Math.floor(i / keys.length) ? Number.NaN : weight))
        : weights,
    [weights, causal, keys],
  );
  const { value } = pointed;
  const cell =
    value?.attention === id.attention && value.row < queries.length && value.column < keys.length ? value : null;
  return (
    <Figure
      class={`head${isOff ? ' off' : ''}`}
      title={`Layer ${id.layer + 1}, head ${id.head + 1}`}
      says={`${says} Point at a cell, or walk there with the arrow keys, for its weight${isExplained(view) ? ' and the q·k behind it' : ''}; click or Enter keeps its row.`}
    >
      <div class="controls">
        {children}
        {isFollowed && (
          <a href={addressOf('follow-numbers', { ...id, token: most.row })}>
            Follow “{queries[most.row]}” through this head →
          </a>
        )}
      </div>
      {isOff && <p class="note">Switched off: it attends, but its output is not passed on.</p>}
      <div class="head-pictures">
        <HeatMap
          label={`${attentions[id.attention]}, layer ${id.layer + 1}, head ${id.head + 1}: rows look at columns.`}
          rows={queries}
          columns={keys}
          values={values}
          colour={colour}
          cellSize={40}
          describe={({ row, column }) => sayWeight(view, row, column)}
          marked={cell ?? most}
          onChoose={(chosen) => onRow(chosen.row)}
          onActive={(active) => {
            pointed.value = active && { ...active, attention: id.attention };
          }}
        />
        {isExplained(view) && (
          <div>
            <Products view={view} cell={cell ?? most} />
            <Arcs view={view} row={arcRow ?? cell?.row ?? null} onRow={setArcRow} />
          </div>
        )}
      </div>
    </Figure>
  );
}
