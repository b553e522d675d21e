import { spoken } from './draw/format.js';
import { type PartProps, parts } from './parts/parts.js';
import { theme, toggleTheme } from './theme.js';

const EXAMPLES = ['transformer', 'attention', 'phoenix', 'through', 'colonel', 'croissant'];

/** The name of the page, the word that all parts show, and links to the parts. */
export function Header({ session, shown }: PartProps & { shown: string }) {
  return (
    <header class="top">
      <div class="top-row">
        <h1>
          <a href="#pronounce">Transformer explorer</a>
        </h1>
        <WordField session={session} />
        <button
          type="button"
          class="quiet theme"
          onClick={toggleTheme}
          aria-label={`Switch to the ${theme.value === 'dark' ? 'light' : 'dark'} theme`}
        >
          {theme.value === 'dark' ? '☀' : '☾'}
        </button>
      </div>
      <nav aria-label="Parts">
        <ol>
          {parts.map(({ id, title }) => (
            <li key={id}>
              <a
                href={`#${id}`}
                aria-current={id === shown ? 'page' : undefined}
                ref={id === shown ? bringIntoView : null}
              >
                {title}
              </a>
            </li>
          ))}
        </ol>
      </nav>
    </header>
  );
}

/** Scrolls to the name of the current part, because a narrow window shows only some names. */
function bringIntoView(name: Element | null): void {
  name?.scrollIntoView({ block: 'nearest', inline: 'center' });
}

function WordField({ session }: PartProps) {
  const { word, complaint, pronunciation, model } = session;
  const said = pronunciation.value;
  return (
    <div class="word">
      <label for="word">{model.value?.readsText ? 'Sentence' : 'Word'}</label>
      <input
        id="word"
        value={word.value}
        list="examples"
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        aria-invalid={model.value !== null && complaint.value !== null}
        aria-describedby="said"
        onInput={(event) => {
          word.value = event.currentTarget.value;
        }}
      />
      <datalist id="examples">
        {EXAMPLES.map((example) => (
          <option key={example} value={example} />
        ))}
      </datalist>
      <output id="said" for="word" aria-busy={session.busy.value} class={complaint.value ? 'said complaint' : 'said'}>
        {complaint.value ?? (said ? spoken(said) : model.value ? '…' : 'The model is loading…')}
      </output>
    </div>
  );
}
