import type { ImageBytes } from 'simdformer/pretrained';

/** Side of the picture in pixels. */
const SIZE = 96;

/** A picture to begin with: a sky, a sun and a house. */
export function examplePicture(): ImageBytes {
  const data = new Uint8Array(3 * SIZE * SIZE);
  for (let i = 0; i < SIZE * SIZE; i++) data.set(colourAt(i % SIZE, Math.floor(i / SIZE)), 3 * i);
  return { width: SIZE, height: SIZE, data, channels: 3 };
}

function colourAt(x: number, y: number): [red: number, green: number, blue: number] {
  const isSun = (x - 72) ** 2 + (y - 22) ** 2 < 144;
  const isRoof = y >= 38 && y < 56 && Math.abs(x - 34) < (y - 38) * 1.4;
  const isWall = y >= 56 && y < 82 && x >= 16 && x < 52;
  const isGround = y >= 76;
  if (isSun) return [250, 205, 60];
  if (isRoof) return [170, 60, 40];
  if (isWall) return [225, 200, 160];
  if (isGround) return [80, 140, 70];
  return [120 + y, 170 + Math.floor(y / 2), 235]; // the sky
}
