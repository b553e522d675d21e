// An agent of OpenAI's SDK that calls a tool. The model runs in `simdformer serve`.
import { Agent, OpenAIChatCompletionsModel, run, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';

const { SIMDFORMER_URL: url = 'http://127.0.0.1:8080', MODEL: id = 'Qwen/Qwen3-0.6B' } = process.env;
setTracingDisabled(true); // traces would go to OpenAI

const weather = tool({
  name: 'weather',
  description: 'Tells the weather of a city',
  parameters: z.object({ city: z.string().max(20) }),
  execute: async ({ city }) => `It is warm in ${city}.`,
});
const agent = new Agent({
  name: 'Assistant',
  instructions: 'You answer briefly.',
  model: new OpenAIChatCompletionsModel(new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' }), id),
  tools: [weather],
  modelSettings: { toolChoice: 'required', maxTokens: 200 },
  toolUseBehavior: 'stop_on_first_tool',
});
const { finalOutput } = await run(agent, 'Is it warm in Rome?');
console.log(JSON.stringify({ finalOutput }));
