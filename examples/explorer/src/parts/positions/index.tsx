import './positions.css';
import { useMemo, useState } from 'preact/hooks';
import { resolvePositions, sinusoids } from 'simdformer/nn';
import { Choice, Slider } from '../../draw/controls.js';
import type { Model } from '../../model.js';
import type { PartProps } from '../parts.js';
import { ProductsFigures } from './products-figures.js';
import { TableFigure } from './table-figure.js';
import { Variants } from './variants.js';

const LAYOUTS = { interleaved: 'Sines and cosines in turn', halves: 'Sines first, cosines after' } as const;
type Layout = keyof typeof LAYOUTS;

/** Positions that the pictures have. */
const LENGTH = 48;

/** A table of position vectors, one a row. */
export interface Table {
  readonly model: Model;
  readonly length: number;
  readonly width: number;
  readonly values: Float32Array;
}

export default function Positions({ session }: PartProps) {
  const model = session.model.value;
  return model ? (
    <Pictures session={session} model={model} />
  ) : (
    <p class="empty">{session.complaint.value ?? 'The model is on its way.'}</p>
  );
}

function Pictures({ session, model }: PartProps & { model: Model }) {
  const { config } = model.transformer;
  const own = config.positions.kind === 'sinusoidal' ? config.positions : resolvePositions('sinusoidal');
  const [layout, setLayout] = useState<Layout>(own.layout);
  const [width, setWidth] = useState(Math.min(config.dModel, 256));
  const table = useMemo<Table>(() => {
    const frequencies = Array.isArray(own.frequencies) && width !== config.dModel ? 'paper' : own.frequencies;
    const values = sinusoids(LENGTH, width, { ...own, layout, frequencies });
    return { model, length: LENGTH, width, values };
  }, [model, own, layout, width, config]);
  return (
    <>
      <div class="controls">
        <Choice label="Layout" value={layout} options={LAYOUTS} onChange={setLayout} />
        <Slider {...{ label: 'Features', min: 16, max: 256, step: 16, value: width }} onChange={setWidth} />
      </div>
      <TableFigure table={table} layout={layout} />
      <ProductsFigures session={session} table={table} />
      <Variants session={session} />
    </>
  );
}
