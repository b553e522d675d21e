// Programs of transformers.js that change images. make_raw_images.mjs runs them with transformers.js.

/** The part of RawImage that the programs use, as transformers.js declares it. */
// biome-ignore lint/suspicious/noExplicitAny: the class is that of transformers.js, or ours.
type Class = any;

/** Size, channels and bytes. */
const shown = ({ size, channels, data }: { size: number[]; channels: number; data: Iterable<number> }) => ({
  size,
  channels,
  data: [...data],
});

/** A part of the picture that keeps the lists short. */
const small = async (Image: Class, picture: string) => (await Image.read(picture)).crop([3, 5, 6, 7]);

export const rawImagePrograms: Readonly<Record<string, (Image: Class, picture: string) => Promise<unknown>>> = {
  'is read and cropped': async (Image, picture) => shown(await small(Image, picture)),
  'becomes grey and RGB again': async (Image, picture) => {
    const image = await small(Image, picture);
    const copy = image.clone().grayscale();
    return [shown(copy), shown(copy.rgb()), shown(image)];
  },
  'becomes RGBA and RGB again': async (Image, picture) => {
    const image = (await small(Image, picture)).rgba();
    const all = [shown(image)];
    return [...all, shown(image.clone().convert(1)), shown(image.convert(3)), shown(image.grayscale().rgba())];
  },
  'has a mask as alpha': async (Image, picture) => {
    const image = await small(Image, picture);
    return shown(image.clone().putAlpha(image.clone().grayscale()));
  },
  'is padded': async (Image, picture) => shown(await (await small(Image, picture)).pad([1, 2, 0, 1])),
  'is cropped in the middle': async (Image, picture) => {
    const image = await small(Image, picture);
    const sizes = [
      [3, 1],
      [2, 2],
      [7, 6],
    ];
    return Promise.all(sizes.map(async ([width, height]) => shown(await image.center_crop(width, height))));
  },
  'is cropped beyond its edges': async (Image, picture) => {
    const image = await small(Image, picture);
    return shown(await image.crop([-2, 1, 90, 90]));
  },
  'is split': async (Image, picture) => (await small(Image, picture)).split().map(shown),
  'becomes a tensor': async (Image, picture) => {
    const image = await small(Image, picture);
    const plain = (order: string) => {
      const { dims, type, data } = image.toTensor(order);
      return { dims, type, data: [...data] };
    };
    const again = Image.fromTensor(image.toTensor());
    const other = Image.fromTensor(image.toTensor('HWC'), 'HWC');
    return [plain('CHW'), plain('HWC'), shown(again), shown(other)];
  },
};
