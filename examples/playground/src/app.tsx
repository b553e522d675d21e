import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { figures } from './engine.js';
import { keepPage } from './offline.js';

/** The tabs. The code of a tab is loaded when it first opens. */
const TABS: Readonly<Record<string, () => Promise<ComponentType>>> = {
  Chat: async () => (await import('./tabs/chat.js')).ChatTab,
  Search: async () => (await import('./tabs/search.js')).SearchTab,
  Transcribe: async () => (await import('./tabs/transcribe.js')).TranscribeTab,
  Images: async () => (await import('./tabs/images.js')).ImagesTab,
  Classify: async () => (await import('./tabs/classify.js')).ClassifyTab,
  'Fine-tune': async () => (await import('./tabs/teach.js')).TeachTab,
};

/** Milliseconds after which the page prepares to be used without a network. */
const IDLE = 2000;

/** True once the page opens without a network: the code of all tabs is loaded when the page is idle, and kept. */
function useOffline(): boolean {
  const [isKept, setKept] = useState(false);
  useEffect(() => {
    const keep = async () => {
      await Promise.all(Object.values(TABS).map((load) => load()));
      setKept(await keepPage());
    };
    const timer = setTimeout(() => void keep().catch(() => {}), IDLE); // without a network it stays as it was
    return () => clearTimeout(timer);
  }, []);
  return isKept;
}

/** The component of a tab. Null until its code is there. */
function useTab(name: string): ComponentType | null {
  const [tab, setTab] = useState<{ readonly name: string; readonly Tab: ComponentType } | null>(null);
  useEffect(() => {
    let isCurrent = true;
    void TABS[name]?.().then((Tab) => isCurrent && setTab({ name, Tab }));
    return () => {
      isCurrent = false;
    };
  }, [name]);
  return tab?.name === name ? tab.Tab : null;
}

/** Bytes as text with a unit. */
function size(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** The page. The model of a tab leaves the memory when another tab opens. */
export function App() {
  const [chosen, setChosen] = useState('Chat');
  const Tab = useTab(chosen);
  const isKept = useOffline();
  const { kernels, memory, rate } = figures.value;
  return (
    <>
      <header>
        <h1>simdformer playground</h1>
        <p>All models run in this tab. Nothing that you type, say or choose leaves your computer.</p>
        <div role="tablist" aria-label="Tasks">
          {Object.keys(TABS).map((name) => (
            <button
              key={name}
              type="button"
              role="tab"
              id={`tab-${name}`}
              aria-controls="panel"
              aria-selected={name === chosen}
              onClick={() => setChosen(name)}
            >
              {name}
            </button>
          ))}
        </div>
      </header>
      <main>
        <div id="panel" role="tabpanel" aria-labelledby={`tab-${chosen}`}>
          {Tab && <Tab key={chosen} />}
        </div>
      </main>
      <footer>
        <dl>
          <dt>Kernels</dt>
          <dd id="kernels">{kernels}</dd>
          <dt>Engine memory</dt>
          <dd id="memory">{size(memory)}</dd>
          <dt>Tokens per second</dt>
          <dd id="rate">{rate === null ? '–' : rate.toFixed(1)}</dd>
          <dt>Opens offline</dt>
          <dd>{isKept ? 'yes' : 'not yet'}</dd>
        </dl>
      </footer>
    </>
  );
}
