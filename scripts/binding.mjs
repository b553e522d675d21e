// Reads the sources and flags of the addon from binding.gyp, for scripts that compile it by other means. Paths are
// relative to the root.
import { readdirSync, readFileSync } from 'node:fs';

const at = (path) => new URL(`../${path}`, import.meta.url);
/** binding.gyp is written as plain JSON. */
const { target_defaults: common, targets } = JSON.parse(readFileSync(at('binding.gyp'), 'utf8'));
const [addon, kernels] = targets;

/** A command in binding.gyp lists the instruction sets. */
const sets = readdirSync(at('native/isa')).filter((name) => name.endsWith('.cc'));

export const sources = [...addon.sources, ...sets.map((name) => `native/isa/${name}`)];
export const { defines, cflags_cc: flags } = common;

/** Further flags for a source. Kernels throw nothing, so they need no tables for exceptions. */
export const flagsOf = (source) => (source.startsWith('native/isa/') ? kernels.cflags_cc : []);
