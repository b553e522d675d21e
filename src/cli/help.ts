// Parts of help texts that several commands use.

export const REVISION = 'branch, tag or commit on the hub (default: main)';

/** The end of a command's help: a command line that can be copied. */
export const example = (line: string) => `\nExample:\n  simdformer ${line}`;
