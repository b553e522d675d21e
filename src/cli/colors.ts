/** Red, green and blue. */
export type Color = readonly [red: number, green: number, blue: number];

/** Returns the color of item i of a list. Neighbours differ in hue by the golden angle. */
export function colorOf(i: number): Color {
  const hue = (i * 137.508) % 360;
  const channel = (offset: number) => {
    const k = (offset + hue / 30) % 12;
    return Math.round(255 * (0.55 - 0.4 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

/** Formats a color for CSS: #c05a20. */
export const hexOf = (color: Color): string => `#${color.map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
