import type { ComponentChildren } from 'preact';

interface FigureProps {
  readonly title: string;
  /** Two sentences: what the picture shows, and what to look for. */
  readonly says: ComponentChildren;
  readonly children: ComponentChildren;
  readonly class?: string;
}

/** A picture with the two sentences that say what it shows. */
export function Figure({ title, says, children, class: name = '' }: FigureProps) {
  return (
    <figure class={`figure ${name}`}>
      <figcaption>
        <h3>{title}</h3>
        <p>{says}</p>
      </figcaption>
      <div class="figure-body">{children}</div>
    </figure>
  );
}
