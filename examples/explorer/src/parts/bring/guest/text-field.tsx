import type { Guest } from './guest.js';

interface TextFieldProps {
  readonly guest: Guest;
  /** The action of the model: read or speak. */
  readonly action: string;
  readonly text: string;
  readonly onText: (text: string) => void;
  /** True if the output `guest-said` describes the text and its errors. */
  readonly isDescribed?: boolean;
  readonly isWrong?: boolean;
}

/** The field for the text of a model, or for its token ids. */
export function TextField({ guest, action, text, onText, isDescribed = false, isWrong }: TextFieldProps) {
  return (
    <>
      <label for="guest-text">
        {guest.model.tokenizer
          ? `Text for it to ${action}`
          : `Token ids for the model to ${action} (it has no tokenizer)`}
      </label>
      <textarea
        id="guest-text"
        rows={2}
        value={text}
        spellcheck={false}
        aria-invalid={isWrong}
        aria-describedby={isDescribed ? 'guest-said' : undefined}
        onInput={(event) => onText(event.currentTarget.value)}
      />
    </>
  );
}
