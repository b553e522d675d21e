import type { RawImage } from 'simdformer/pretrained';

/** A picture to begin with: a sky, a sun and a house. */
export function examplePicture(): RawImage {
  const size = 96;
  const data = new Uint8Array(3 * size * size);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const isSun = (x - 72) ** 2 + (y - 22) ** 2 < 144;
      const isRoof = y >= 38 && y < 56 && Math.abs(x - 34) < (y - 38) * 1.4;
      const isWall = y >= 56 && y < 82 && x >= 16 && x < 52;
      const isGround = y >= 76;
      const colour = isSun
        ? [250, 205, 60]
        : isRoof
          ? [170, 60, 40]
          : isWall
            ? [225, 200, 160]
            : isGround
              ? [80, 140, 70]
              : [120 + y, 170 + Math.floor(y / 2), 235];
      data.set(colour, 3 * (y * size + x));
    }
  return { width: size, height: size, data, channels: 3 };
}
