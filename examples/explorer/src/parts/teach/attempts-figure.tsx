import { Figure } from '../../draw/figure.js';
import type { Report } from '../../training/trainer.js';

/** Number of earlier answers that are shown. */
const EARLIER = 3;

/** Shows how the answers for single words improve. */
export function AttemptsFigure({ report }: { report: Report }) {
  return (
    <Figure
      title="What it answers"
      says="Your word, and some words that are not in the training data: the right answer, the model’s present answer, and its earlier answers, latest first. A check mark means right, a cross means wrong."
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: narrow screens scroll it sideways */}
      <section class="attempts-scroll" tabIndex={0} aria-label="Answers">
        <table class="attempts">
          <thead>
            <tr>
              <th scope="col">Word</th>
              <th scope="col">Should be</th>
              <th scope="col">Now</th>
              <th scope="col">Before</th>
            </tr>
          </thead>
          <tbody>
            {report.attempts.map(({ word, expected, answers, right }) => (
              <tr key={word}>
                <th scope="row">{word}</th>
                <td>{expected ?? <span class="note">your word</span>}</td>
                <td class={right ? 'right' : ''}>
                  {expected !== null && (
                    <span role="img" aria-label={right ? 'right' : 'not yet'}>
                      {right ? '✓' : '✗'}
                    </span>
                  )}{' '}
                  {answers.at(-1)?.text || '(nothing)'}
                </td>
                <td class="before">
                  {answers
                    .slice(-1 - EARLIER, -1)
                    .reverse()
                    .map(({ step, text }) => (
                      <span key={step}>
                        {text || '(nothing)'} <span class="note">step {step}</span>
                      </span>
                    ))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Figure>
  );
}
