import { signal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

interface Shown {
  readonly text: string;
  /** Position in the window. */
  readonly x: number;
  readonly y: number;
}

const shown = signal<Shown | null>(null);

/** Shows text beside a point of the window. Lines are separated by \n. */
export function showTooltip(text: string, x: number, y: number): void {
  shown.value = { text, x, y };
}

export function hideTooltip(): void {
  shown.value = null;
}

/** The only tooltip of the page. Callers also announce its text to screen readers. */
export function Tooltip() {
  const box = useRef<HTMLDivElement>(null);
  const at = shown.value;
  useLayoutEffect(() => {
    if (at === null || box.current === null) return;
    const { width, height } = box.current.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.x + 14, innerWidth - width - 8));
    const top = at.y + 18 + height > innerHeight ? at.y - height - 12 : at.y + 18;
    box.current.style.transform = `translate(${left}px, ${top}px)`;
  }, [at]);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key === 'Escape') hideTooltip();
    };
    addEventListener('keydown', press);
    addEventListener('pointercancel', hideTooltip); // the touch became a scroll
    return () => {
      removeEventListener('keydown', press);
      removeEventListener('pointercancel', hideTooltip);
    };
  }, []);
  if (at === null) return null;
  return (
    <div class="tooltip" ref={box} aria-hidden="true">
      {at.text}
    </div>
  );
}
