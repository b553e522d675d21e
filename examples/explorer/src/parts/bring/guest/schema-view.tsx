import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { Figure } from '../../../draw/figure.js';
import { percent, share } from '../../../draw/format.js';
import { AnswerLine } from './answer-line.js';
import type { ExperimentProps } from './experiments.js';
import { type Constrained, constrained, EXAMPLE, type Step } from './schema.js';
import { useAnswer } from './use-answer.js';

/** The answer that a JSON schema allows, and the tokens that it forbids at each step. */
export default function SchemaView({ guest, text }: ExperimentProps) {
  const [schema, setSchema] = useKept('schema', EXAMPLE);
  const key = useMemo(() => ({ text, schema }), [text, schema]);
  const answer = useAnswer(guest, key, ({ text, schema }) => constrained(guest, text, schema));
  return (
    <Figure
      title="What a schema allows"
      says="The model continues the text with JSON that fits the schema; each row is one token. The bar is the share of the vocabulary that the schema allows, and the last column is what the model would rather have said."
    >
      <div class="guest-text">
        <label for="guest-schema">JSON schema</label>
        <textarea
          id="guest-schema"
          class="code"
          rows={3}
          value={schema}
          spellcheck={false}
          aria-invalid={answer.complaint !== null}
          onInput={(event) => setSchema(event.currentTarget.value)}
        />
      </div>
      <AnswerLine answer={answer} says={summary} />
      {answer.value && <Steps found={answer.value} />}
    </Figure>
  );
}

function summary({ text, steps, isComplete }: Constrained): string {
  const unlike = steps.filter(
    ({ chosen, forbidden }) => forbidden && forbidden.probability > chosen.probability,
  ).length;
  return `${text}${isComplete ? '' : '…'} The schema decides ${unlike} of ${steps.length} tokens.`;
}

function Steps({ found: { steps, vocabulary } }: { found: Constrained }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard scrolls it
    <section class="steps-table" aria-label="Steps" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Best allowed</th>
            <th scope="col">Allowed tokens</th>
            <th scope="col">Their probability</th>
            <th scope="col">Best forbidden</th>
          </tr>
        </thead>
        <tbody>
          {steps.map((step, i) => (
            <Row key={i} step={step} vocabulary={vocabulary} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Row({ step: { chosen, forbidden, allowed, mass }, vocabulary }: { step: Step; vocabulary: number }) {
  const isDecided = forbidden !== null && forbidden.probability > chosen.probability;
  return (
    <tr>
      <th scope="row">
        {chosen.name} <small>{percent(chosen.probability)}</small>
      </th>
      <td>
        <span class="bar" aria-hidden="true">
          <span style={{ width: `${(100 * allowed) / vocabulary}%` }} />
        </span>
        {allowed.toLocaleString('en')} <small>{share(allowed / vocabulary)}</small>
      </td>
      <td>{percent(mass)}</td>
      <td>
        {forbidden ? (
          <>
            {isDecided ? <span class="rather">{forbidden.name}</span> : forbidden.name}{' '}
            <small>{percent(forbidden.probability)}</small>
          </>
        ) : (
          'none'
        )}
      </td>
    </tr>
  );
}
