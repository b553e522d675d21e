import { SimdformerError } from '../core/errors.js';

/** Loads an optional package. Throws SimdformerError with the install command if it is missing. */
export async function loadOptional<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new SimdformerError(`simdformer/server needs ${name}, which is not installed: npm install ${name}`, {
      cause,
    });
  }
}
