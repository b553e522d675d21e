/** The formula of make_spelled.py. */
export const sound = (samples: number, seed: number) =>
  Float32Array.from(
    { length: samples },
    (_, i) => Math.sin((seed * i * i) / 900) * 0.5 + 0.3 * Math.sin(i / (3 + seed)),
  );
