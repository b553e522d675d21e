import { useId } from 'preact/hooks';
import { Choice } from '../../draw/controls.js';
import { type Choices, namesOf, type Way } from './way.js';

interface ChooserProps {
  readonly way: Way;
  readonly onChange: (choices: Choices) => void;
}

const sides = { encoder: 'A letter, in the encoder', decoder: 'A sound, in the decoder' };
const attentions = { self: 'Masked self-attention', cross: 'Cross attention' };

/** Controls for the token that is followed, its layer and its head. */
export function Chooser({ way, onChange }: ChooserProps) {
  const { side, attention, stack, config } = way;
  const change = (some: Partial<Choices>) => {
    const { token, layer, head } = way;
    onChange({ side, attention, token, layer, head, ...some });
  };
  return (
    <div class="chooser">
      <Choice
        label="Side of the model"
        value={side}
        options={sides}
        onChange={(to) => change({ side: to, token: 1 })}
      />
      <Tokens way={way} onChoose={(token) => change({ token })} />
      <Numbers name="Layer" count={stack.layers.length} value={way.layer} onChange={(layer) => change({ layer })} />
      <Numbers name="Head" count={config.heads} value={way.head} onChange={(head) => change({ head })} />
      {side === 'decoder' && (
        <Choice label="Attention" value={attention} options={attentions} onChange={(to) => change({ attention: to })} />
      )}
    </div>
  );
}

function Tokens({ way, onChoose }: { way: Way; onChoose: (token: number) => void }) {
  const name = useId();
  const { side, token, traced } = way;
  return (
    <fieldset class={`choice chips ${side === 'encoder' ? 'letter' : 'sound'}`} aria-label="Token">
      {namesOf(traced, side).map((text, i) => (
        <label key={i}>
          <input type="radio" name={name} checked={i === token} onChange={() => onChoose(i)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

interface NumbersProps {
  readonly name: string;
  readonly count: number;
  readonly value: number;
  readonly onChange: (value: number) => void;
}

function Numbers({ name, count, value, onChange }: NumbersProps) {
  const options = Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}`, `${i + 1}`]));
  return (
    <div class="numbers">
      <span aria-hidden="true">{name}</span>
      <Choice label={name} value={`${value}`} options={options} onChange={(to) => onChange(Number(to))} />
    </div>
  );
}
