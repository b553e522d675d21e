/** Types of matrices that `saveGguf` writes, with llama.cpp's numbers for `general.file_type`. */
export const fileTypes = { f16: 1, q8_0: 7, q4_0: 2, q4_1: 3 } as const;

export type GgufFileType = keyof typeof fileTypes;
