import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { partInAddress } from './address.js';
import { Tooltip } from './draw/tooltip.js';
import { Header } from './header.js';
import { type PartProps, parts } from './parts/parts.js';
import type { Session } from './session.js';

/** The page: a header with the word, and the part that the address names. */
export function App({ session }: PartProps) {
  const [address, setAddress] = useState(location.hash);
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    const follow = () => {
      setAddress(location.hash);
      scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    };
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  const shown = shownPart();
  const part = parts[shown] as (typeof parts)[number];
  useEffect(() => {
    document.title = `${part.title} · Transformer explorer`;
  }, [part]);
  const next = parts[shown + 1];
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <Header session={session} shown={part.id} />
      <main id="main" tabIndex={-1} ref={main} aria-labelledby="part-title">
        <Trouble session={session} />
        <header class="part-head">
          <h2 id="part-title">{part.title}</h2>
          <p>{part.promise}</p>
        </header>
        <PartView key={address} load={part.load} session={session} />
        {next && (
          <p class="next">
            <a href={`#${next.id}`}>Next: {next.title} →</a>
          </p>
        )}
      </main>
      <Tooltip />
    </>
  );
}

function shownPart(): number {
  const at = parts.findIndex(({ id }) => id === partInAddress());
  return Math.max(0, at);
}

/** Shows a part after its code was loaded. */
function PartView({ load, session }: PartProps & { load: () => Promise<{ default: ComponentType<PartProps> }> }) {
  const [Part, setPart] = useState<ComponentType<PartProps> | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let here = true;
    load().then(
      (module) => here && setPart(() => module.default),
      () => here && setFailed(true),
    );
    return () => {
      here = false;
    };
  }, [load]);
  if (Part) return <Part session={session} />;
  if (!failed) return <p class="waiting">Loading…</p>;
  return (
    <p role="alert" class="trouble">
      This part did not load. Check the connection, then open the part again or reload the page.
    </p>
  );
}

/** Shows an error until it is dismissed. */
function Trouble({ session }: { session: Session }) {
  const error = session.error.value;
  return (
    <div role="alert">
      {error !== null && (
        <div class="trouble">
          <p>{error}</p>
          <button
            type="button"
            onClick={() => {
              session.error.value = null;
            }}
          >
            Close
          </button>
        </div>
      )}
    </div>
  );
}
