// Spreads drawing over frames, so that a page full of pictures keeps up with typing and pointing. Visible pictures come
// first, for a few milliseconds of each frame. Invisible ones wait until the page is idle.

/** Maximum milliseconds of a frame for drawing: a third of a frame at 60 Hz, because the browser also needs time. */
const BUDGET = 5;
/** Milliseconds without visible work, after which invisible pictures are drawn. */
const QUIET = 300;

/** The latest requested drawing of each element. */
const waiting = new Map<Element, () => void>();
const visible = new Set<Element>();
let frame = 0;
let quiet = 0;

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) visible.add(target);
      else visible.delete(target);
    }
    if (nextVisible()) ask();
  },
  { rootMargin: '25%' },
);

/**
 * Schedules the drawing of an element. A later request replaces an earlier one. The first drawing happens in the next
 * frame.
 */
export function drawSoon(element: Element, draw: () => void): void {
  waiting.delete(element); // moves it to the end of the queue
  waiting.set(element, draw);
  ask();
}

/** Observes if an element is visible. Call it before drawSoon(). Returns a function that ends it. */
export function watch(element: Element): () => void {
  visible.add(element); // until the observer reports
  observer.observe(element);
  return () => {
    observer.unobserve(element);
    visible.delete(element);
    waiting.delete(element);
  };
}

function ask(): void {
  if (frame === 0) frame = requestAnimationFrame(work);
}

function work(): void {
  frame = 0;
  const end = performance.now() + BUDGET;
  for (let element = nextVisible(); element; element = nextVisible()) {
    draw(element);
    if (performance.now() > end) break;
  }
  if (nextVisible()) ask();
  else if (waiting.size > 0) {
    clearTimeout(quiet);
    quiet = window.setTimeout(drawHidden, QUIET);
  }
}

/** Draws invisible elements one at a time, because they are not urgent. */
function drawHidden(): void {
  const [element] = waiting.keys();
  if (element === undefined) return;
  draw(element);
  quiet = window.setTimeout(drawHidden);
}

function nextVisible(): Element | undefined {
  for (const element of waiting.keys()) if (visible.has(element)) return element;
  return undefined;
}

function draw(element: Element): void {
  const drawing = waiting.get(element);
  waiting.delete(element);
  drawing?.();
}
