// An agent of Mastra that streams. The model runs in `simdformer serve`.
import { Agent } from '@mastra/core/agent';

const { SIMDFORMER_URL: url = 'http://127.0.0.1:8080', MODEL: id = 'Qwen/Qwen3-0.6B' } = process.env;

const agent = new Agent({
  id: 'assistant',
  name: 'Assistant',
  instructions: 'You answer briefly.',
  model: { id: `simdformer/${id}`, url: `${url}/v1`, apiKey: 'none' },
});
const settings = { modelSettings: { maxOutputTokens: 40, temperature: 0 } };
const { text } = await agent.generate('Name three cats.', settings);
let streamed = '';
for await (const piece of (await agent.stream('Name three cats.', settings)).textStream) streamed += piece;
console.log(JSON.stringify({ text, streamed }));
