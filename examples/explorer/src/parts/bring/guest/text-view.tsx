import { useEffect, useState } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { Figure } from '../../../draw/figure.js';
import { Chips } from './chips.js';
import { Experiments } from './experiments.js';
import { Guesses } from './guesses.js';
import { type Guess, type Guest, MAX_TOKENS, type Reading, type Token } from './guest.js';
import { HeadsView, kindsOf } from './heads-view.js';
import { LayersView } from './layers-view.js';
import { TextField } from './text-field.js';

interface State {
  readonly reading: Reading | null;
  readonly complaint: string | null;
  readonly busy: boolean;
}

/** Result of a model for a text. */
export function TextView({ guest }: { guest: Guest }) {
  const [text, setText] = useKept('text', guest.example);
  const [hidden, setHidden] = useState<number | null>(null);
  const [writing, setWriting] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const { reading, complaint, busy } = useReading(guest, text, hidden);
  const type = (value: string) => {
    setText(value);
    setHidden(null);
    setTrouble(null);
  };
  const goOn = async () => {
    setWriting(true);
    setTrouble(null);
    try {
      const { goOn } = await import('./read.js');
      type(await guest.run(() => goOn(guest, text)));
    } catch (error) {
      setTrouble((error as Error).message);
    } finally {
      setWriting(false);
    }
  };
  const wrong = complaint ?? trouble;
  return (
    <>
      <div class="guest-text">
        <TextField guest={guest} action="read" text={text} onText={type} isDescribed isWrong={complaint !== null} />
        <div class="controls">
          {guest.continues && (
            <button type="button" disabled={writing || busy} onClick={() => void goOn()}>
              {writing ? 'Writing…' : 'Let it go on'}
            </button>
          )}
          <output id="guest-said" for="guest-text" aria-busy={busy} class={wrong ? 'complaint' : ''}>
            {wrong ?? (busy ? 'Reading…' : saidOf(reading))}
          </output>
        </div>
      </div>
      {reading && (
        <>
          <Words reading={reading} hidden={hidden} onHide={setHidden} />
          {reading.trace && kindsOf(reading.trace).length > 0 && <HeadsView reading={reading} trace={reading.trace} />}
          <LayersView reading={reading} />
          <Experiments guest={guest} reading={reading} text={text} />
        </>
      )}
    </>
  );
}

function saidOf(reading: Reading | null): string {
  if (reading === null) return '';
  const { left, written, source, target } = reading;
  if (written !== null) return `It writes: ${written || '(nothing)'}`;
  const count = (source ?? target)?.length ?? 0;
  return left > 0 ? `The first ${count} tokens are shown; ${left} more are hidden.` : `${count} tokens.`;
}

/** Returns the latest result. It stays until the next one is computed. */
function useReading(guest: Guest, text: string, hidden: number | null): State {
  const [state, setState] = useState<State>({ reading: null, complaint: null, busy: true });
  useEffect(() => {
    let wanted = true;
    setState(({ reading }) => ({ reading: reading?.guest === guest ? reading : null, complaint: null, busy: true }));
    const compute = async () => {
      const { read } = await import('./read.js');
      const reading = await guest.run(async () => (wanted ? read(guest, text, hidden) : null));
      if (wanted) setState({ reading, complaint: null, busy: false });
    };
    const timer = setTimeout(() => {
      compute().catch((error) => {
        if (wanted) setState({ reading: null, complaint: (error as Error).message, busy: false });
      });
    }, 200);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [guest, text, hidden]);
  return state;
}

interface WordsProps {
  readonly reading: Reading;
  readonly hidden: number | null;
  readonly onHide: (token: number | null) => void;
}

const titles = {
  'language-model': ['What comes next', 'Choose a token to see which tokens the model expects after it.'],
  'masked-language-model': ['Hidden words', 'Choose a token to mask it and see the model’s predictions for it.'],
  'token-classification': ['What each token is', 'Choose a token to see the labels that the model gives it.'],
  'question-answering': [
    'Where the answer is',
    'Write a question, [SEP] and a text. Choose a token to see how probably the answer begins or ends there.',
  ],
  discriminator: ['Which tokens were put there', 'Choose a token to see how sure the model is that it was replaced.'],
} as Readonly<Record<string, readonly [string, string]>>;

/** Shows the tokens of a text, and the predictions at the chosen token. */
function Words({ reading, hidden, onHide }: WordsProps) {
  const { source, target, guest, labels, guesses } = reading;
  const { headKind, tokenizer } = guest.model;
  const [title, hint] = titles[headKind] ?? [
    'Tokens',
    'The input of the model: pieces of the text, each with its number.',
  ];
  const [chosen, setChosen] = useState<number | null>(null);
  const isMasked = headKind === 'masked-language-model';
  const shown = target ?? (source as readonly Token[]);
  const masks = isMasked ? shown.flatMap(({ id }, i) => (id === guest.mask?.id ? [i] : [])) : [];
  const usual = isMasked ? (hidden ?? masks[0] ?? null) : headKind in titles ? shown.length - 1 : null;
  const at = Math.min(chosen ?? usual ?? 0, shown.length - 1);
  const choose = (token: number) => {
    setChosen(token);
    if (isMasked && guest.mask && !masks.includes(token)) onHide(token);
    else if (isMasked && token === hidden) {
      onHide(null);
      setChosen(null);
    }
  };
  const found: readonly Guess[] = usual === null && chosen === null ? [] : guesses(at);
  return (
    <Figure title={title} says={`${hint} ${tokenizer ? 'The small numbers are their ids in the vocabulary.' : ''}`}>
      {source && target && <Chips label="What it reads" tokens={source} kind="letter" />}
      <Chips
        label={source && target ? 'What it writes' : 'Tokens'}
        tokens={shown}
        kind={target ? 'sound' : 'letter'}
        chosen={found.length > 0 ? at : null}
        onChoose={headKind in titles ? choose : undefined}
      />
      {found.length > 0 && (
        <Guesses
          label={
            isMasked
              ? `Instead of token ${at + 1}`
              : headKind === 'language-model'
                ? `Behind “${(shown[at] as Token).name}”`
                : `Of “${(shown[at] as Token).name}”`
          }
          guesses={found}
        />
      )}
      {labels && <Guesses label="Of the whole text" guesses={labels} />}
      {reading.left > 0 && <p class="note">The pictures have room for {MAX_TOKENS} tokens.</p>}
    </Figure>
  );
}
