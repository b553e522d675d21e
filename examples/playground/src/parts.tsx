// Controls that several tabs have.
import type { Work } from './use-work.js';

/** A button that lets a person choose files. `accept`: as in HTML. */
export function FileButton(props: {
  readonly label: string;
  readonly accept: string;
  readonly multiple?: boolean;
  readonly disabled?: boolean;
  readonly onFiles: (files: readonly File[]) => void;
}) {
  const { label, accept, multiple = false, disabled = false, onFiles } = props;
  return (
    <label class="button">
      {label}
      <input
        type="file"
        accept={accept}
        multiple={multiple}
        disabled={disabled}
        class="hidden"
        onChange={(event) => {
          const files = Array.from(event.currentTarget.files ?? []);
          event.currentTarget.value = ''; // so that the same file can be chosen again
          if (files.length > 0) onFiles(files);
        }}
      />
    </label>
  );
}

/** Ends the work that runs. */
export function StopButton({ work }: { readonly work: Work }) {
  return (
    <button type="button" disabled={!work.isBusy} onClick={work.stop}>
      Stop
    </button>
  );
}

/** The error of the last work, if it failed. */
export function Problem({ work }: { readonly work: Work }) {
  if (work.problem === '') return null;
  return (
    <p class="wrong" role="alert">
      {work.problem}
    </p>
  );
}
