import { useRef } from 'preact/hooks';

interface FilePickerProps {
  /** Text of the button. */
  readonly text: string;
  /** Name of the file's field, for assistive technology. */
  readonly label: string;
  /** Kinds of files, as the attribute `accept` of a field. */
  readonly accept: string;
  /** Called with each chosen file, also if it is the same one again. */
  readonly onFile: (file: File) => void;
}

/** A button that lets the user choose a file. */
export function FilePicker({ text, label, accept, onFile }: FilePickerProps) {
  const field = useRef<HTMLInputElement>(null);
  return (
    <>
      <div class="controls">
        <button type="button" class="main" onClick={() => field.current?.click()}>
          {text}
        </button>
      </div>
      <input
        ref={field}
        type="file"
        hidden
        accept={accept}
        aria-label={label}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) onFile(file);
          event.currentTarget.value = '';
        }}
      />
    </>
  );
}
