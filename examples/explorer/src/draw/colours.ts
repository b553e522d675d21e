import { computed } from '@preact/signals';
import { scaleLinear } from 'd3-scale';
import { theme } from '../theme.js';

/** Converts a number to a CSS colour. Larger numbers also differ in lightness, so hue alone never carries a meaning. */
export type ColourScale = (value: number) => string;

const palettes = {
  light: {
    sequential: ['#f4f2ec', '#c9d6ef', '#7f9fdc', '#3d63bd', '#182f73'],
    diverging: ['#8c3a0f', '#d98a52', '#f4f2ec', '#7f9fdc', '#24468f'],
  },
  dark: {
    sequential: ['#1c1f26', '#27406f', '#3f6cbc', '#7fa8ea', '#e6f0ff'],
    diverging: ['#ffb27d', '#a85a26', '#1c1f26', '#3f6cbc', '#a9c8ff'],
  },
};

/** Number of colours of a palette: more than eyes can distinguish, but few enough to compute in advance. */
const STEPS = 512;

const tables = computed(() => {
  const { sequential, diverging } = palettes[theme.value];
  return { sequential: steps(sequential), diverging: steps(diverging) };
});

function steps(palette: readonly string[]): string[] {
  const colour = scaleLinear<string>()
    .domain(palette.map((_, i) => (i / (palette.length - 1)) * (STEPS - 1)))
    .range(palette);
  return Array.from({ length: STEPS }, (_, i) => colour(i));
}

/** Returns a scale from 0, which has the colour of the surface, to `most`. */
export function sequentialScale(most = 1): ColourScale {
  return scale(tables.value.sequential, 0, most);
}

/** Returns a scale from −`most` to `most`: orange below zero, blue above it. */
export function divergingScale(most = 1): ColourScale {
  return scale(tables.value.diverging, -most, most);
}

function scale(table: readonly string[], least: number, most: number): ColourScale {
  const step = (STEPS - 1) / (most - least);
  return (value) => table[Math.max(0, Math.min(STEPS - 1, Math.round((value - least) * step)))] as string;
}

const inks = new Map<string, string>();

/** Returns a text colour that is readable on a colour made by a scale. */
export function inkOn(colour: string): string {
  let ink = inks.get(colour);
  if (ink === undefined) {
    const [r, g, b] = (colour.match(/\d+/g) ?? []).map(Number) as [number, number, number];
    ink = 0.2126 * r + 0.7152 * g + 0.0722 * b > 130 ? '#14161a' : '#ffffff';
    inks.set(colour, ink);
  }
  return ink;
}

/** Custom properties of the style sheet, for canvases. They are read again when the theme changes. */
export const cssColours = computed(() => {
  theme.value;
  const style = getComputedStyle(document.documentElement);
  return (name: string) => style.getPropertyValue(`--${name}`).trim();
});
