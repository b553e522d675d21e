import { computed } from '@preact/signals';
import { scaleLinear } from 'd3-scale';
import { theme } from '../theme.js';

/** From a number to a CSS colour. More always differs from less in lightness too, so hue alone never carries a meaning. */
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

/** For 0 to `most`, the surface's colour for nothing. */
export function sequentialScale(most = 1): ColourScale {
  const { sequential } = palettes[theme.value];
  return scaleLinear<string>()
    .domain(sequential.map((_, i) => (i / (sequential.length - 1)) * most))
    .range(sequential)
    .clamp(true);
}

/** For −`most` to `most`: orange below zero, blue above it. */
export function divergingScale(most = 1): ColourScale {
  const { diverging } = palettes[theme.value];
  return scaleLinear<string>()
    .domain([-most, -most / 2, 0, most / 2, most])
    .range(diverging)
    .clamp(true);
}

/** Ink that is readable on a colour made by a scale. */
export function inkOn(colour: string): string {
  const [r, g, b] = colour.startsWith('#') ? fromHex(colour) : (colour.match(/\d+/g) ?? []).map(Number);
  const luminance = 0.2126 * (r as number) + 0.7152 * (g as number) + 0.0722 * (b as number);
  return luminance > 130 ? '#14161a' : '#ffffff';
}

/** A custom property of the style sheet, for canvases; read anew when the theme changes. */
export const cssColours = computed(() => {
  theme.value;
  const style = getComputedStyle(document.documentElement);
  return (name: string) => style.getPropertyValue(`--${name}`).trim();
});

function fromHex(colour: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}
