// The effort of reasoning that clients ask for. The model's chat template decides what it means.

/** The efforts of OpenAI's API. */
export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const;

/** Returns the variables of the chat template for an effort; none for undefined. 'none' asks for no reasoning. */
export function effortVariables(effort: string | undefined): Readonly<Record<string, unknown>> {
  return effort === undefined ? {} : { enable_thinking: effort !== 'none', reasoning_effort: effort };
}
