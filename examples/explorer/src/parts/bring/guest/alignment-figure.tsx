import { useMemo } from 'preact/hooks';
import { sequentialScale } from '../../../draw/colours.js';
import { Figure } from '../../../draw/figure.js';
import { percent } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { theme } from '../../../theme.js';
import type { Spectrogram } from './spectrogram.js';

/** The places of tokens in a sound. */
export interface Alignment {
  readonly spectrogram: Spectrogram;
  readonly tokens: readonly string[];
  /** Share of a token's attention, or its probability, in each column: [tokens, times]. */
  readonly values: Float32Array;
  readonly kind: 'attention' | 'ctc' | 'transducer' | 'spoken' | 'written';
}

const says = {
  attention:
    'Above is the sound: low tones at the bottom, strong ones dark. Below, each row is a token, and dark cells show when in the sound the model attends, in the mean of all heads.',
  ctc: 'Above is the sound: low tones at the bottom, strong ones dark. Below, each row is a token in the order of the text, and dark cells show when the model hears it.',
  transducer:
    'Above is the sound: low tones at the bottom, strong ones dark. Below, each row is a token, and its dark cells are the frames that the model says the token lasts.',
  spoken:
    'Above is the sound that the model makes: low tones at the bottom, strong ones dark. Below, each row is a token of the text, and its dark cells show when it is spoken.',
  written:
    'Above is the sound that the model makes: low tones at the bottom, strong ones dark. Below, each row is a token of the text, and dark cells show when the model attends to it, in the mean of all heads.',
} as const;

/** The spectrogram of a sound, and the tokens below it, with the same times. */
export function AlignmentFigure({ alignment }: { alignment: Alignment }) {
  const { spectrogram, tokens, values, kind } = alignment;
  const { times } = spectrogram;
  const [bands, rows] = useMemo(() => {
    const width = Math.max(...[...spectrogram.bands, ...tokens].map(({ length }) => length));
    return [spectrogram.bands, tokens].map((names) => names.map((name) => name.padStart(width, '\u00a0')));
  }, [alignment]) as [string[], string[]];
  const loud = useMemo(() => sequentialScale(), [theme.value]);
  const most = useMemo(() => values.reduce((a, b) => Math.max(a, b), 1e-9), [values]);
  const colour = useMemo(() => sequentialScale(most), [most, theme.value]);
  return (
    <Figure title="Tokens in the sound" says={says[kind]}>
      <HeatMap
        label="Strength of the sound, frequencies by time."
        rows={bands}
        columns={times}
        values={spectrogram.values}
        colour={loud}
        cellSize={24}
        cellHeight={7}
        describe={({ row, column }) =>
          `${spectrogram.bands[row]} at ${times[column]}: ${percent(spectrogram.values[row * times.length + column] as number)}`
        }
      />
      <HeatMap
        label="Tokens by time."
        rows={rows}
        columns={times}
        values={values}
        colour={colour}
        cellSize={24}
        cellHeight={18}
        describe={({ row, column }) =>
          `“${tokens[row]}” at ${times[column]}: ${percent(values[row * times.length + column] as number)}`
        }
      />
    </Figure>
  );
}
