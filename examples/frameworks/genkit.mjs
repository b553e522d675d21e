// Genkit with an answer and a stream. The model runs in `simdformer serve`.
import { openAICompatible } from '@genkit-ai/compat-oai';
import { genkit } from 'genkit';

const { SIMDFORMER_URL: url = 'http://127.0.0.1:8080', MODEL: id = 'Qwen/Qwen3-0.6B' } = process.env;

const ai = genkit({ plugins: [openAICompatible({ name: 'simdformer', apiKey: 'none', baseURL: `${url}/v1` })] });
const request = { model: `simdformer/${id}`, prompt: 'Name three cats.', config: { temperature: 1e-4 } }; // Genkit leaves 0 out
const { text } = await ai.generate(request);
let streamed = '';
for await (const piece of ai.generateStream(request).stream) streamed += piece.text;
console.log(JSON.stringify({ text, streamed }));
