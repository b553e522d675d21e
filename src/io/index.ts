export type { ByteSource } from './byte-source.js';
export { openSafetensors, type SafetensorsFile, saveSafetensors } from './file.js';
export type { LoadOptions } from './folder.js';
export {
  parseSafetensors,
  type Safetensors,
  type SafetensorsArray,
  type SafetensorsDType,
  SafetensorsEntry,
  type SafetensorsMetadata,
  type SafetensorsSource,
  type SafetensorsTensor,
  type SafetensorsTensors,
  serializeSafetensors,
} from './safetensors.js';
