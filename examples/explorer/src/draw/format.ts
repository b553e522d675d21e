/** Formats a probability in percent, with a decimal place if it is significant. */
export function percent(probability: number): string {
  const value = probability * 100;
  if (value > 0 && value < 0.1) return '<0.1 %';
  return `${value > 99.95 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
}

/** Formats the weight of a head in percent, with a decimal place if it is small. */
export function weightText(weight: number): string {
  return `${(100 * weight).toFixed(weight < 0.1 ? 1 : 0)} %`;
}

/** Formats a number with `digits` decimal places and a typographic minus. */
export function decimal(value: number, digits = 2): string {
  if (value === Number.NEGATIVE_INFINITY) return '−∞';
  return value
    .toFixed(digits)
    .replace(/^-(?=[0.]+$)/, '')
    .replace('-', '−');
}

/** Formats an answer, which may be empty. */
export function spoken({ text }: { readonly text: string }): string {
  return text || '(silence)';
}

/** Formats a share, such as a relative error, in percent with two significant digits. */
export function share(value: number): string {
  const percents = 100 * value;
  return `${percents >= 10 || percents === 0 ? percents.toFixed(0) : percents >= 1 ? percents.toFixed(1) : percents.toPrecision(2)} %`;
}
