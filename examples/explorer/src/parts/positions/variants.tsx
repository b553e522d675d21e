import { useEffect, useMemo } from 'preact/hooks';
import { divergingScale } from '../../draw/colours.js';
import { Figure } from '../../draw/figure.js';
import { decimal } from '../../draw/format.js';
import { HeatMap } from '../../draw/heat-map.js';
import type { Session } from '../../session.js';
import { theme } from '../../theme.js';
import { useResult } from '../../use-result.js';
import { KINDS, type Kind, type Learned, schoolOf, tableOf } from './school.js';

interface Look {
  readonly title: string;
  readonly says: string;
  /** Names of rows and columns. */
  readonly rows: (table: Learned) => string[];
  readonly columns: (table: Learned) => string[];
  readonly describe: (row: string, column: string, value: string) => string;
  readonly cellHeight: number;
}

const count = (length: number) => Array.from({ length }, (_, i) => String(i));
/** Distances from −M to M. */
const distances = (length: number) => Array.from({ length }, (_, i) => decimal(i - (length - 1) / 2, 0));

const LOOKS: Readonly<Record<Kind, Look>> = {
  learned: {
    title: 'Learned vectors',
    says: 'A vector for each position, added like the sinusoids but learned; rows are positions. Training starts from noise, and only positions that occur in words get a pattern.',
    rows: ({ rows }) => count(rows),
    columns: ({ columns }) => count(columns),
    describe: (position, feature, value) => `position ${position}, feature ${feature}: ${value}`,
    cellHeight: 7,
  },
  relativeBias: {
    title: 'Relative bias',
    says: 'A number for each head and distance, added to the attention scores of the first encoder layer. A blue cell left of the middle means that the head prefers letters at this distance before; an orange one means that it avoids them.',
    rows: ({ rows }) => Array.from({ length: rows }, (_, head) => `head ${head + 1}`),
    columns: ({ columns }) => distances(columns),
    describe: (head, distance, value) => `${head}, distance ${distance}: ${value}`,
    cellHeight: 36,
  },
  shaw: {
    title: 'Relative vectors',
    says: 'A vector for each distance, added to the keys of the first encoder layer, so that queries can ask for a distance. Rows are distances, columns the features of a head; rows that differ from their neighbours are told apart.',
    rows: ({ rows }) => distances(rows),
    columns: ({ columns }) => count(columns),
    describe: (distance, feature, value) => `distance ${distance}, feature ${feature}: ${value}`,
    cellHeight: 14,
  },
};

/** Shows the learned position encodings side by side. */
export function Variants({ session }: { session: Session }) {
  const school = schoolOf(session);
  useEffect(() => {
    school.open().catch((error) => session.report(error));
  }, [school, session]);
  const { running, step, done } = school;
  return (
    <section aria-labelledby="variants">
      <h3 id="variants" class="variants-title">
        Learned positions
      </h3>
      <div class="controls">
        <button
          type="button"
          class="main"
          disabled={done.value}
          onClick={() => {
            if (running.value) school.stop();
            else school.run().catch((error) => session.report(error));
          }}
        >
          {running.value ? 'Stop' : step.value === 0 ? 'Let them learn' : done.value ? 'They have learnt' : 'Go on'}
        </button>
        <p class="hint" role="status">
          {step.value === 0
            ? 'Three small models with random weights. Train them to pronounce words, and watch their tables.'
            : `After ${step.value} steps of pronouncing English words.`}
        </p>
      </div>
      <div class="columns">
        {KINDS.map((kind) => (
          <Variant key={kind} kind={kind} session={session} taught={school.learned[kind].value} />
        ))}
      </div>
    </section>
  );
}

/** Shows the table of the page's model if it has one of this kind, else that of the school's model. */
function Variant({ kind, session, taught }: { kind: Kind; session: Session; taught: Learned | null }) {
  const model = session.model.value;
  const key = useMemo(() => model && { model, kind }, [model, kind]);
  const own = useResult(session, key, ({ model, kind }) => tableOf(kind, model, null));
  const table = own ?? taught;
  const { title, says, describe, cellHeight } = LOOKS[kind];
  const look = useMemo(() => table && lookOf(kind, table), [kind, table, theme.value]);
  if (table === null || look === null) return null;
  const { most, allZero, colour, names } = look;
  const origin =
    table.steps === null ? `of ${model?.name}` : table.steps === 0 ? 'before training' : `after ${table.steps} steps`;
  return (
    <Figure title={`${title}, ${origin}`} says={says}>
      <HeatMap
        label={`${title}, ${origin}: ${table.rows} rows by ${table.columns} columns.`}
        {...names}
        values={table.values}
        colour={colour}
        cellHeight={cellHeight}
        describe={({ row, column }) =>
          describe(
            names.rows[row] as string,
            names.columns[column] as string,
            decimal(table.values[row * table.columns + column] as number, 3),
          )
        }
      />
      <p class="hint">{allZero ? 'All of them are still 0.' : `Full colour is ±${decimal(most)}.`}</p>
    </Figure>
  );
}

function lookOf(kind: Kind, table: Learned) {
  const { rows, columns } = LOOKS[kind];
  const largest = table.values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const most = Math.max(largest, 0.05);
  return {
    most,
    allZero: largest === 0,
    colour: divergingScale(most),
    names: { rows: rows(table), columns: columns(table) },
  };
}
