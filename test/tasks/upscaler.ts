// The files of a tiny Swin2SR that doubles the size of images. It is one of variants.json.
import { variants, weightsFile } from '../pretrained/variant.js';

const encoded = (value: object) => new TextEncoder().encode(JSON.stringify(value));

export function upscalerFiles(): Record<string, Uint8Array> {
  const { config, shapes } = variants.find(({ name }) => name === 'Swin2SR of few parameters')!;
  return {
    'config.json': encoded(config),
    'model.safetensors': weightsFile(shapes),
    'preprocessor_config.json': encoded({ image_processor_type: 'Swin2SRImageProcessor' }),
  };
}
