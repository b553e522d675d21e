import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';
import { saveFiles } from '../save-files.js';

interface FigureProps {
  readonly title: string;
  /** Two sentences: the content of the picture, and its most interesting feature. */
  readonly says: ComponentChildren;
  readonly children: ComponentChildren;
  readonly class?: string;
}

/** A picture with two sentences of explanation. It can be saved as SVG; the style sheet hides the button if it has no picture. */
export function Figure({ title, says, children, class: name = '' }: FigureProps) {
  const body = useRef<HTMLDivElement>(null);
  const save = async () => {
    const { svgOf } = await import('./svg.js');
    const svg = svgOf(body.current as HTMLElement);
    saveFiles({ [`${title.toLowerCase().replaceAll(/[^\p{L}\d]+/gu, '-')}.svg`]: new TextEncoder().encode(svg) });
  };
  return (
    <figure class={`figure ${name}`}>
      <figcaption>
        <h3>{title}</h3>
        <p>{says}</p>
      </figcaption>
      <div class="figure-body" ref={body}>
        {children}
      </div>
      <button type="button" class="quiet save-svg" onClick={() => void save()}>
        Save as SVG
      </button>
    </figure>
  );
}
