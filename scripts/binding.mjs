// Reads the sources and flags of the addon from binding.gyp, for scripts that compile it by other means. Paths are
// relative to the root.
import { readdirSync, readFileSync } from 'node:fs';

const at = (path) => new URL(`../${path}`, import.meta.url);
/** binding.gyp is written as plain JSON. */
const [target] = JSON.parse(readFileSync(at('binding.gyp'), 'utf8')).targets;
const isas = readdirSync(at('native/isa')).map((name) => `native/isa/${name}`); // which a command lists there

export const sources = [...target.sources, ...isas].filter((name) => name.endsWith('.cc'));
export const { defines, cflags_cc: flags } = target;
