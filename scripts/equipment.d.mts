/** True if SIMDFORMER_EQUIPMENT is `none`: nothing of the equipment is looked for or installed. */
export const isHidden: boolean;
/** True if the engine has been compiled to WebAssembly. */
export const hasWasm: boolean;
export function findEmscripten(): string | undefined;
export function findChromium(): string | undefined;
export function findFirefox(): string | undefined;
export function findMpi(): string | undefined;
export function findRedis(): string | undefined;
