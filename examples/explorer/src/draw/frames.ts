// Spreads drawing over frames, so that a page full of pictures keeps up with typing and pointing. Visible pictures come
// first, for a few milliseconds of each frame. Invisible ones wait until the page is idle.

/** Milliseconds of a frame that may go into drawing: a third of what there is at 60 Hz, as the browser has work of its own. */
const BUDGET = 5;
/** Milliseconds without anything to draw on the screen, until what lies off it has its turn. */
const QUIET = 300;

/** The latest drawing that was asked for, by what it is for. */
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

/** Lets an element be drawn soon, unless it is asked for anew before. The first time, in the coming frame. */
export function drawSoon(element: Element, draw: () => void): void {
  waiting.delete(element); // so that it is the last in turn
  waiting.set(element, draw);
  ask();
}

/** Before drawSoon(): tells what lies on the screen from what does not. Returns what ends it. */
export function watch(element: Element): () => void {
  visible.add(element); // until the observer knows better
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

/** One at a time, for each is little and nobody waits for it. */
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
