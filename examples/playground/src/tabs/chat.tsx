import { useRef, useState } from 'preact/hooks';
import type { TextModel } from 'simdformer/pretrained';
import { Chat, type ChatAnswer } from 'simdformer/tasks';
import type { ChatMessage, ChatTool } from 'simdformer/tokenizers';
import { measure, type Origin, openModel, type Report } from '../engine.js';
import { ModelBar } from '../model-bar.js';
import { FileButton, Problem, StopButton } from '../parts.js';
import { useModel } from '../use-model.js';
import { useWork } from '../use-work.js';

const SUGGESTIONS = [
  'HuggingFaceTB/SmolLM2-135M-Instruct',
  'HuggingFaceTB/SmolLM2-360M-Instruct',
  'Qwen/Qwen3-0.6B',
  'unsloth/gemma-3-270m-it',
];

/** A model of the hub is packed. A GGUF file stays as it is. */
function load(origin: Origin, report: Report, stop: AbortSignal): Promise<TextModel> {
  const isPacked = origin instanceof Blob || /\.gguf$/i.test(String(origin));
  return openModel(origin, report, stop, isPacked ? undefined : 'int8');
}

/** The text of a message, and the number of its images. */
function shown({ content }: ChatMessage): { readonly text: string; readonly images: number } {
  if (!Array.isArray(content)) return { text: String(content ?? ''), images: 0 };
  const texts = content.flatMap((part) => (part.type === 'text' ? [String(part.text)] : []));
  return { text: texts.join('\n'), images: content.filter(({ type }) => type === 'image').length };
}

/** JSON of a field; undefined if it is empty. Throws Error that names the field. */
function json<T>(name: string, text: string): T | undefined {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`);
  }
}

/** A conversation: it streams, stops, and can be edited. The model may be held to a schema, and given tools. */
export function ChatTab() {
  const model = useModel(load);
  const work = useWork();
  const chat = useRef<Chat | null>(null);
  const [messages, setMessages] = useState<readonly ChatMessage[]>([]);
  const [writing, setWriting] = useState('');
  const [draft, setDraft] = useState('');
  const [system, setSystem] = useState('');
  const [schema, setSchema] = useState('');
  const [tools, setTools] = useState('');
  const [images, setImages] = useState<readonly File[]>([]);
  const [calls, setCalls] = useState<ChatAnswer['toolCalls']>([]);

  /** Goes on from `before` with what a person, or a tool, says. */
  const send = (before: readonly ChatMessage[], said: ChatMessage | readonly ChatMessage[]) =>
    work.run(async (stop) => {
      if (model.state.kind !== 'ready') throw new Error('Load a model first.');
      const format = json<Record<string, unknown>>('Schema', schema);
      const known = json<ChatTool[]>('Tools', tools);
      chat.current?.dispose();
      const options = { ...(system.trim() && { system }), ...(known && { tools: known }), messages: before };
      const next = new Chat(model.state.value, options);
      chat.current = next;
      setMessages([...before, ...[said].flat()]);
      setCalls([]);
      let text = '';
      let first = 0;
      try {
        const responseFormat = format && ({ type: 'json_schema', schema: format } as const);
        for await (const piece of next.send(said, {
          signal: stop,
          ...(responseFormat && { responseFormat }),
        })) {
          first ||= performance.now();
          text += piece;
          setWriting(text);
        }
        const { answer } = next;
        const seconds = (performance.now() - first) / 1000;
        if (answer !== null && answer.newTokens > 1) await measure((answer.newTokens - 1) / seconds);
        setCalls(answer?.toolCalls ?? []);
      } finally {
        setWriting('');
        // Without an answer, the message goes back to its field.
        if (next.messages.length === before.length && !Array.isArray(said)) setDraft(shown(said as ChatMessage).text);
        setMessages(next.messages);
      }
    });

  const submit = () => {
    const text = draft.trim();
    if (text === '') return;
    setDraft('');
    setImages([]);
    const parts = [...images.map((image) => ({ type: 'image', image })), { type: 'text', text }];
    void send(messages, { role: 'user', content: images.length > 0 ? parts : text });
  };

  const lastUser = messages.findLastIndex(({ role }) => role === 'user');
  return (
    <>
      <ModelBar model={model} suggestions={SUGGESTIONS} />
      <ol class="messages" aria-label="Conversation" aria-live="polite">
        {messages.map((message, i) => {
          const { text, images: count } = shown(message);
          return (
            <li key={i} class={message.role}>
              <strong>{message.role}</strong>
              {count > 0 && <em> {count} images</em>}
              <p>{text}</p>
              {message.role === 'user' && !work.isBusy && (
                <button
                  type="button"
                  onClick={() => {
                    setDraft(text);
                    setMessages(messages.slice(0, i));
                    setCalls([]);
                  }}
                >
                  Edit
                </button>
              )}
            </li>
          );
        })}
        {work.isBusy && (
          <li class="assistant">
            <strong>assistant</strong>
            <p>{writing || '…'}</p>
          </li>
        )}
      </ol>
      {calls.map((call) => (
        <form
          key={call.id}
          class="row"
          onSubmit={(event) => {
            event.preventDefault();
            const content = String(new FormData(event.currentTarget).get('result') ?? '');
            void send(messages, { role: 'tool', name: call.name, tool_call_id: call.id, content });
          }}
        >
          <label>
            Result of {call.name}({JSON.stringify(call.arguments)}) <input name="result" />
          </label>
          <button type="submit">Return it</button>
        </form>
      ))}
      <Problem work={work} />
      <form
        class="row composer"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <label class="grow">
          <span>Message</span>
          <textarea
            rows={2}
            value={draft}
            onInput={(event) => setDraft(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
              event.preventDefault();
              submit();
            }}
          />
        </label>
        <button type="submit" class="main" disabled={work.isBusy || model.state.kind !== 'ready'}>
          Send
        </button>
        <StopButton work={work} />
        <button
          type="button"
          disabled={work.isBusy || lastUser < 0}
          onClick={() => void send(messages.slice(0, lastUser), messages[lastUser] as ChatMessage)}
        >
          Retry
        </button>
        <button type="button" disabled={work.isBusy} onClick={() => setMessages([])}>
          Clear
        </button>
        <FileButton
          label={images.length > 0 ? `${images.length} images` : 'Add images'}
          accept="image/*"
          multiple
          onFiles={setImages}
        />
      </form>
      <details>
        <summary>System prompt, schema and tools</summary>
        <label>
          System prompt <textarea rows={2} value={system} onInput={(event) => setSystem(event.currentTarget.value)} />
        </label>
        <label>
          Schema of the answer (JSON Schema){' '}
          <textarea
            rows={3}
            value={schema}
            spellcheck={false}
            onInput={(event) => setSchema(event.currentTarget.value)}
          />
        </label>
        <label>
          Tools (a list, as in OpenAI’s API){' '}
          <textarea
            rows={3}
            value={tools}
            spellcheck={false}
            onInput={(event) => setTools(event.currentTarget.value)}
          />
        </label>
      </details>
    </>
  );
}
