import { SimdformerError } from '../core/errors.js';

/** A package that is installed beside this one only where it is needed. Throws SimdformerError, with what to do. */
export async function loadOptional<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new SimdformerError(`simdformer/server stands on ${name}, which is not installed: npm install ${name}`, {
      cause,
    });
  }
}
