/** A WAV file of samples from −1 to 1, with 16 bits each. */
export function wavOf(samples: Float32Array, samplingRate: number): Blob {
  const file = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at: number, value: string) => {
    for (const [i, character] of [...value].entries()) file.setUint8(at + i, character.charCodeAt(0));
  };
  text(0, 'RIFF');
  file.setUint32(4, 36 + 2 * samples.length, true);
  text(8, 'WAVEfmt ');
  file.setUint32(16, 16, true);
  for (const [i, value] of [1, 1].entries()) file.setUint16(20 + 2 * i, value, true);
  file.setUint32(24, samplingRate, true);
  file.setUint32(28, 2 * samplingRate, true);
  for (const [i, value] of [2, 16].entries()) file.setUint16(32 + 2 * i, value, true);
  text(36, 'data');
  file.setUint32(40, 2 * samples.length, true);
  for (const [i, sample] of samples.entries())
    file.setInt16(44 + 2 * i, Math.round(32_767 * Math.max(-1, Math.min(1, sample))), true);
  return new Blob([file.buffer], { type: 'audio/wav' });
}
