import type { ComponentType } from 'preact';
import { useKept } from '../../../address.js';
import type { Guest, Reading } from './guest.js';
import { useLoaded } from './use-loaded.js';

export interface ExperimentProps {
  readonly guest: Guest;
  readonly reading: Reading;
  /** The text that was read. */
  readonly text: string;
}

interface Experiment {
  readonly id: string;
  readonly title: string;
  readonly applies: (guest: Guest) => boolean;
  readonly load: () => Promise<{ default: ComponentType<ExperimentProps> }>;
}

/** Views that run the model again, each in its own way. Only the chosen one computes. */
const experiments: readonly Experiment[] = [
  {
    id: 'precision',
    title: 'Fewer bits',
    applies: () => true,
    load: () => import('./precision-view.js'),
  },
  {
    id: 'schema',
    title: 'A schema',
    applies: ({ continues, model }) => continues && model.tokenizer !== null,
    load: () => import('./schema-view.js'),
  },
  {
    id: 'drafts',
    title: 'Guessed tokens',
    applies: ({ continues }) => continues,
    load: () => import('./drafts-view.js'),
  },
  {
    id: 'experts',
    title: 'Experts',
    applies: ({ hasExperts }) => hasExperts,
    load: () => import('./experts-view.js'),
  },
  {
    id: 'patching',
    title: 'Another text',
    applies: (guest) => guest.canPatch,
    load: () => import('./patching-view.js'),
  },
  {
    id: 'memory',
    title: 'Memory',
    applies: ({ continues }) => continues,
    load: () => import('./memory-view.js'),
  },
];

/** A choice of experiments with the model on its text, and the chosen one. */
export function Experiments(props: ExperimentProps) {
  const { guest } = props;
  const fitting = experiments.filter(({ applies }) => applies(guest));
  const [wanted, setWanted] = useKept<string>('view', '');
  const chosen = fitting.find(({ id }) => id === wanted) ?? null;
  return (
    <section class="experiments" aria-labelledby="experiments-title">
      <h3 id="experiments-title">Experiments</h3>
      <fieldset class="controls" aria-label="Experiments">
        {fitting.map(({ id, title }) => (
          <button
            key={id}
            type="button"
            aria-pressed={id === wanted}
            onClick={() => setWanted(id === wanted ? '' : id)}
          >
            {title}
          </button>
        ))}
      </fieldset>
      {chosen && <Chosen key={chosen.id} load={chosen.load} {...props} />}
    </section>
  );
}

function Chosen({ load, ...props }: ExperimentProps & Pick<Experiment, 'load'>) {
  const [View, failed] = useLoaded(load);
  if (View) return <View {...props} />;
  return failed ? (
    <p role="alert" class="trouble">
      This view did not load. Check the connection, then choose it again.
    </p>
  ) : (
    <p class="waiting">Loading…</p>
  );
}
