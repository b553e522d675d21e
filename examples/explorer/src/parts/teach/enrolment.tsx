import { useState } from 'preact/hooks';
import { Choice } from '../../draw/controls.js';
import type { Session } from '../../session.js';
import type { Settings } from '../../training/course.js';
import { builtInPairs, lessonOf, parsePairs } from '../../training/lesson.js';
import type { Trainer } from '../../training/trainer.js';

const TOPICS = { dictionary: 'English words', own: 'Pairs of your own' } as const;
const PUPILS = { small: 'Small', medium: 'Medium', large: 'Large', current: 'The model on this page' } as const;
const POSITIONS = {
  sinusoidal: 'Sinusoidal',
  learned: 'Learned',
  relativeBias: 'Relative bias',
  shaw: 'Relative vectors',
} as const satisfies Record<Settings['positions'], string>;

const SIZE_HINT: Readonly<Record<keyof typeof PUPILS, string>> = {
  small: '1 + 1 layers of width 32. Learns within a minute what a word looks like; never very well.',
  medium: '2 + 2 layers of width 64. A good pupil for some minutes.',
  large: '3 + 3 layers of width 128. Slow, and the best in the end.',
  current: 'A copy of the model continues to learn, with its own letters and sounds.',
};

const SAMPLE = 'Pairs, one a line. For example, words and their plurals:\ncat cats\nbox boxes\nbaby babies\n…';

/** Choice of the data and the model. */
export function Enrolment({ session, trainer }: { session: Session; trainer: Trainer }) {
  const [topic, setTopic] = useState<keyof typeof TOPICS>('dictionary');
  const [pupil, setPupil] = useState<keyof typeof PUPILS>('medium');
  const [positions, setPositions] = useState<Settings['positions']>('sinusoidal');
  const [text, setText] = useState('');
  const [trouble, setTrouble] = useState<string | null>(null);

  const preparing = trainer.phase.value === 'preparing';

  const prepare = async () => {
    const pairs = topic === 'own' ? parsePairs(text) : await builtInPairs();
    if (pupil !== 'current') return { lesson: lessonOf(pairs), from: { size: pupil, positions } };
    return session.run(async ({ source, target, transformer }) => ({
      lesson: lessonOf(pairs, { source, target }),
      from: await transformer.toFiles(),
    }));
  };
  const start = async () => {
    setTrouble(null);
    try {
      await trainer.start(prepare);
    } catch (error) {
      // The form is gone once training has begun.
      if (trainer.phase.value === 'idle') setTrouble((error as Error).message);
      else session.report(error);
    }
  };

  return (
    <form
      class="enrolment figure"
      onSubmit={(event) => {
        event.preventDefault();
        void start();
      }}
    >
      <div class="question">
        <h3>What is it to learn?</h3>
        <Choice label="What is it to learn?" value={topic} options={TOPICS} onChange={setTopic} />
        {topic === 'dictionary' ? (
          <p class="hint">
            8,000 words of the CMU pronouncing dictionary with their sounds. 200 of them are kept back, to find out what
            it makes of words that it never saw.
          </p>
        ) : (
          <>
            <label for="pairs">Your pairs</label>
            <textarea
              id="pairs"
              rows={8}
              placeholder={SAMPLE}
              value={text}
              spellcheck={false}
              aria-describedby="lesson-trouble"
              onInput={(event) => setText(event.currentTarget.value)}
            />
            <p class="hint">
              A word, a space, its answer. Answers with spaces in them are learnt part by part, others letter by letter;
              a tenth is kept back as a test.
            </p>
          </>
        )}
      </div>
      <div class="question">
        <h3>Who is to learn it?</h3>
        <Choice label="Who is to learn it?" value={pupil} options={PUPILS} onChange={setPupil} />
        <p class="hint">{SIZE_HINT[pupil]}</p>
      </div>
      {pupil !== 'current' && (
        <div class="question">
          <h3>How does it tell places apart?</h3>
          <Choice
            label="How does it tell places apart?"
            value={positions}
            options={POSITIONS}
            onChange={setPositions}
          />
          <p class="hint">The part on positions shows these four.</p>
        </div>
      )}
      <p role="alert" id="lesson-trouble" class="form-trouble">
        {trouble}
      </p>
      <button type="submit" class="main" aria-disabled={preparing}>
        {preparing ? 'Preparing the lesson…' : 'Start teaching'}
      </button>
    </form>
  );
}
