import type { ComponentChildren } from 'preact';

interface FigureProps {
  readonly title: string;
  /** Two sentences: the content of the picture, and its most interesting feature. */
  readonly says: ComponentChildren;
  readonly children: ComponentChildren;
  readonly class?: string;
}

/** A picture with two sentences of explanation. */
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
