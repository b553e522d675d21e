// Runs a transducer on a recording: its tokens, and the frames over which each one lasts.
import type { Tensor } from 'simdformer';
import type { Guest } from './guest.js';
import { type Heard, MAX_COLUMNS, MAX_ROWS, samplesOf, transcribe, withoutHeads } from './listen.js';

interface Transducer {
  transcribe(inputs: { inputFeatures: Tensor }): Promise<{ sequence: number[]; durations: number[] }[]>;
}

/** Throws Complaint for a file that is not a recording. */
export async function listenTransducer(guest: Guest, name: string, file: Uint8Array): Promise<Heard> {
  const { model, device } = guest;
  const { samples, extractor } = samplesOf(guest, file);
  const { text } = await transcribe(guest, samples, extractor.samplingRate);
  const { data, shape } = extractor.process([samples]);
  const inputFeatures = device.tensor(data, shape);
  const [written] = await (model as unknown as Transducer)
    .transcribe({ inputFeatures })
    .finally(() => inputFeatures.dispose());
  const all = piecesOf(written?.sequence ?? [], written?.durations ?? [], model.startId as number);
  const frames = Math.max(1, all.end);
  const pieces = all.pieces.slice(0, MAX_ROWS);
  const columns = Math.min(MAX_COLUMNS, frames);
  const values = new Float32Array(pieces.length * columns);
  for (const [row, { start, end }] of pieces.entries()) {
    const [from, to] = [start, Math.max(start + 1, end)].map((frame) => (frame * columns) / frames) as [number, number];
    values.fill(1, row * columns + Math.floor(from), row * columns + Math.min(columns, Math.ceil(to)));
  }
  const recording = { guest, name, text, samples, samplingRate: extractor.samplingRate, columns };
  return withoutHeads(
    recording,
    pieces.map(({ id }) => id),
    values,
    'transducer',
  );
}

interface Piece {
  readonly id: number;
  /** Frames. */
  readonly start: number;
  readonly end: number;
}

/** The tokens without blanks, and the number of frames of all. The first token is the start. */
function piecesOf(sequence: readonly number[], durations: readonly number[], blank: number) {
  const pieces: Piece[] = [];
  let end = 0;
  for (const [i, id] of sequence.entries()) {
    const start = end;
    end += durations[i] as number;
    if (i > 0 && id !== blank) pieces.push({ id, start, end });
  }
  return { pieces, end };
}
