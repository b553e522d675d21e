import type { BuildOptions } from 'esbuild';

export const forNode: BuildOptions;
export function toBase85(bytes: Uint8Array): string;
