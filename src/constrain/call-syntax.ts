// The syntaxes in which models write tool calls.

import type { ToolCallSyntax, ToolCallSyntaxName } from '../generate/response-format.js';

const JSON_CALL = { begin: '', end: '', open: '{"name": "', between: '", "arguments": ', close: '}', separator: '; ' };

/** The syntaxes by name. */
export const CALL_SYNTAXES: Readonly<Record<ToolCallSyntaxName, ToolCallSyntax>> = {
  hermes: { ...JSON_CALL, open: `<tool_call>\n${JSON_CALL.open}`, close: '}\n</tool_call>', separator: '\n' },
  mistral: { ...JSON_CALL, begin: '[TOOL_CALLS] [', end: ']', separator: ', ' },
  'mistral-args': { ...JSON_CALL, open: '[TOOL_CALLS]', between: '[ARGS]', close: '', separator: '' },
  llama: { ...JSON_CALL, between: '", "parameters": ' },
  json: JSON_CALL,
};

/** The name of the syntax that a chat template shows. */
function callSyntaxNameOf(template: string): ToolCallSyntaxName {
  if (template.includes('<tool_call>')) return 'hermes';
  if (template.includes('[ARGS]')) return 'mistral-args';
  if (template.includes('[TOOL_CALLS]')) return 'mistral';
  return template.includes('<|python_tag|>') || template.includes('"parameters":') ? 'llama' : 'json';
}

/** The syntax that a chat template shows. */
export const callSyntaxOf = (template: string): ToolCallSyntax => CALL_SYNTAXES[callSyntaxNameOf(template)];
