// Programs with AutoProcessor, as transformers.js documents them. The test runs them with this package,
// make_processor_programs.mjs with transformers.js.

/** The imports of the programs. Their types are those of both packages. */
// biome-ignore lint/suspicious/noExplicitAny: transformers.js has other types.
export type Api = Readonly<Record<'AutoProcessor' | 'load_image', any>> & {
  /** Makes a tensor of float32. */
  tensor(data: Float32Array, dims: readonly number[]): unknown;
};

export const sound = (samples: number) =>
  Float32Array.from({ length: samples }, (_, i) => Math.sin((i * i) / 900) * 0.5 + 0.3 * Math.sin(i / 4));

/** Programs by name. Each returns results of processors. */
export const processorPrograms: Readonly<Record<string, (api: Api, picture: string) => Promise<unknown[]>>> = {
  async clip({ AutoProcessor, load_image }, picture) {
    const processor = await AutoProcessor.from_pretrained('org/clip');
    const image = await load_image(picture);
    const { pixel_values } = await processor(image);
    const both = await processor([image, image]);
    return [pixel_values, both.pixel_values.dims, both.original_sizes];
  },
  async sam({ AutoProcessor, load_image, tensor }, picture) {
    const processor = await AutoProcessor.from_pretrained('org/sam');
    const image = await load_image(picture);
    const inputs = await processor(image, {
      input_points: [
        [
          [5, 9],
          [20, 3],
        ],
      ],
      input_labels: [[1, 0]],
    });
    const deep = await processor(image, { input_points: [[[[5, 9]], [[7, 8]]]], input_labels: [[[1], [0]]] });
    const boxed = await processor(image, { input_boxes: [[[2, 3, 20, 21]]] });
    const logits = Float32Array.from({ length: 2 * 3 * 12 * 12 }, (_, i) => Math.sin(i * i));
    const masks = await processor.post_process_masks(
      tensor(logits, [1, 2, 3, 12, 12]),
      inputs.original_sizes,
      inputs.reshaped_input_sizes,
    );
    const raw = await processor.post_process_masks(tensor(logits, [1, 2, 3, 12, 12]), [[17, 24]], [[34, 48]], {
      binarize: false,
    });
    return [
      [inputs.input_points, inputs.input_labels, inputs.original_sizes, inputs.reshaped_input_sizes],
      [deep.input_points, deep.input_labels],
      boxed.input_boxes,
      [masks.length, masks[0].dims, { data: Array.from(masks[0].data as Uint8Array, Number) }],
      [raw[0].dims, raw[0].data],
    ];
  },
  async clap({ AutoProcessor }) {
    const processor = await AutoProcessor.from_pretrained('org/clap');
    const { input_features } = await processor(sound(8000));
    return [input_features];
  },
  async wav2vec2({ AutoProcessor }) {
    const processor = await AutoProcessor.from_pretrained('org/wav2vec2');
    const { input_values, attention_mask } = await processor(sound(90));
    return [input_values, attention_mask];
  },
  async whisper({ AutoProcessor }) {
    const processor = await AutoProcessor.from_pretrained('org/whisper');
    const { input_features } = await processor(sound(3000));
    return [input_features];
  },
  async moonshine({ AutoProcessor }) {
    const processor = await AutoProcessor.from_pretrained('org/moonshine');
    return [await processor(sound(60))];
  },
  async florence({ AutoProcessor, load_image }, picture) {
    const processor = await AutoProcessor.from_pretrained('org/florence2');
    const prompts = processor.construct_prompts(['<CAPTION>', '<OD>']);
    const image = await load_image(picture);
    const inputs = await processor(image, '<OD>');
    return [prompts, inputs.input_ids, inputs.attention_mask, inputs.pixel_values];
  },
};
