// Programs of transformers.js in TypeScript name the types of pipelines.
import { expectTypeOf, it } from 'vitest';
import type {
  AutomaticSpeechRecognitionPipeline,
  FeatureExtractionPipeline,
  Pipeline,
  TextToAudioPipeline,
  TokenClassificationPipeline,
} from '../../src/tasks/index.js';
import { pipeline } from '../../src/tasks/index.js';

it('are those of transformers.js', () => {
  const load = () => pipeline('feature-extraction', 'Xenova/all-MiniLM-L6-v2');
  expectTypeOf<Awaited<ReturnType<typeof load>>>().toEqualTypeOf<FeatureExtractionPipeline>();
  expectTypeOf<TokenClassificationPipeline>().toEqualTypeOf<Pipeline<'token-classification'>>();
  expectTypeOf<TextToAudioPipeline>().toEqualTypeOf<Pipeline<'text-to-speech'>>();
  expectTypeOf<Parameters<AutomaticSpeechRecognitionPipeline>[0]>().not.toBeAny();
});
