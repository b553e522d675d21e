import { Choice, Slider } from '../../draw/controls.js';
import { decimal } from '../../draw/format.js';
import type { Decoding } from '../../pronounce.js';
import type { PartProps } from '../parts.js';

const KINDS = { greedy: 'Greedy', beam: 'Beam search', sample: 'Sampling' } as const;

const FIRST: Readonly<Record<Decoding['kind'], Decoding>> = {
  greedy: { kind: 'greedy' },
  beam: { kind: 'beam', beams: 4, lengthPenalty: 1 },
  sample: { kind: 'sample', temperature: 1, topK: 0, topP: 1, seed: 0 },
};

const MEANING: Readonly<Record<Decoding['kind'], string>> = {
  greedy: 'Always takes the most probable sound. Fast, but an early choice can turn out wrong.',
  beam: 'Follows the best few beginnings side by side and keeps the one that ends best.',
  sample: 'Draws each sound by its probability. Low temperature is cautious, high temperature is wild.',
};

/** The choice of sounds. */
export function DecodingControls({ session }: PartProps) {
  const decoding = session.decoding.value;
  const change = (to: Decoding) => {
    session.decoding.value = to;
  };
  return (
    <div class="decoding">
      <div class="controls">
        <Choice
          label="How sounds are chosen"
          value={decoding.kind}
          options={KINDS}
          onChange={(kind) => change(FIRST[kind])}
        />
        <p class="meaning">{MEANING[decoding.kind]}</p>
      </div>
      {decoding.kind === 'beam' && <BeamSliders decoding={decoding} change={change} />}
      {decoding.kind === 'sample' && <SampleSliders decoding={decoding} change={change} most={vocabularyOf(session)} />}
    </div>
  );
}

function vocabularyOf(session: PartProps['session']): number {
  return session.model.value?.target.vocabSize ?? 2;
}

interface Sliders<K extends Decoding['kind']> {
  readonly decoding: Extract<Decoding, { kind: K }>;
  readonly change: (decoding: Decoding) => void;
}

function BeamSliders({ decoding, change }: Sliders<'beam'>) {
  return (
    <div class="controls">
      <Slider
        {...{ label: 'Beams', min: 2, max: 8, step: 1, value: decoding.beams }}
        onChange={(beams) => change({ ...decoding, beams })}
      />
      <Slider
        {...{ label: 'Length penalty', min: 0, max: 2, step: 0.1, value: decoding.lengthPenalty }}
        format={(value) => decimal(value, 1)}
        onChange={(lengthPenalty) => change({ ...decoding, lengthPenalty })}
      />
    </div>
  );
}

function SampleSliders({ decoding, change, most }: Sliders<'sample'> & { most: number }) {
  return (
    <div class="controls">
      <Slider
        {...{ label: 'Temperature', min: 0.1, max: 3, step: 0.05, value: decoding.temperature }}
        format={(value) => decimal(value)}
        onChange={(temperature) => change({ ...decoding, temperature })}
      />
      <Slider
        {...{ label: 'Top-k', min: 1, max: most, step: 1, value: decoding.topK === 0 ? most : decoding.topK }}
        format={(value) => (value === most ? 'all' : String(value))}
        onChange={(topK) => change({ ...decoding, topK: topK === most ? 0 : topK })}
      />
      <Slider
        {...{ label: 'Top-p', min: 0.05, max: 1, step: 0.05, value: decoding.topP }}
        format={(value) => (value === 1 ? 'all' : decimal(value))}
        onChange={(topP) => change({ ...decoding, topP })}
      />
      <button type="button" onClick={() => change({ ...decoding, seed: decoding.seed + 1 })}>
        Draw again
      </button>
    </div>
  );
}
