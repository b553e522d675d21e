import type { Token } from './guest.js';

interface ChipsProps {
  readonly label: string;
  readonly tokens: readonly Token[];
  readonly kind: 'letter' | 'sound';
  readonly chosen?: number | null;
  readonly onChoose?: ((token: number) => void) | undefined;
}

/** Tokens in a row, with their ids. */
export function Chips({ label, tokens, kind, chosen = null, onChoose }: ChipsProps) {
  return (
    <ol class={`chips ${kind}`} aria-label={label}>
      {tokens.map(({ id, name }, i) => (
        <li key={i}>
          {onChoose ? (
            <button type="button" aria-pressed={i === chosen} onClick={() => onChoose(i)}>
              {name} <small>{id}</small>
            </button>
          ) : (
            <span>
              {name} <small>{id}</small>
            </span>
          )}
        </li>
      ))}
    </ol>
  );
}
