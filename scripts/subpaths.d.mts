import type { Plugin } from 'esbuild';

export const subpaths: string[];
export const nodeEntries: Readonly<Record<string, string>>;
export const packageEntries: Plugin;
export function pageEntries(folder: string): Record<string, string>;
