// Programs with tensors of transformers.js. Each takes the package or ours, and returns a tensor.

// biome-ignore lint/suspicious/noExplicitAny: the programs run with both packages.
type Api = any;

const waves = (count: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.round(1000 * Math.sin(i * 1.7)) / 500);
const cube = ({ Tensor }: Api) => new Tensor('float32', waves(24), [2, 3, 4]);
const matrix = ({ Tensor }: Api) => new Tensor('float32', waves(32), [2, 16]);
const ids = ({ Tensor }: Api) => new Tensor('int64', [5n, -2n, 7n, 0n, 1n, 3n], [2, 3]);

export const tensorPrograms: Record<string, (api: Api) => Api> = {
  arithmetic: (api) => cube(api).mul(2).add(1).sub(0.25).div(3).neg(),
  inPlace: (api) => cube(api).mul_(2).add_(1).sub_(0.25).div_(3).neg_(),
  bytes: (api) => cube(api).sigmoid().mul(255).to('uint8'),
  bytesInPlace: (api) => cube(api).sigmoid_().clamp_(0.1, 0.9).mul_(255).round_().to('uint8'),
  clamped: (api) => cube(api).clamp(-0.5, 0.5).round(),
  mapped: (api) => cube(api).map((x: number, i: number) => x * i),
  greater: (api) => cube(api).gt(0.5).to('float32'),
  less: (api) => cube(api).lt(-0.5).to('float32'),
  fromIds: (api) => ids(api).to('float32'),
  toIds: (api) => cube(api).mul(3).to('int64'),
  signed: (api) => cube(api).mul(50).to('int8'),
  transposed: (api) => matrix(api).transpose(1, 0),
  permuted: (api) => cube(api).permute(2, 0, 1),
  permutedIds: (api) => ids(api).permute(1, 0),
  permuteFunction: (api) => api.permute(cube(api), [1, 2, 0]),
  viewed: (api) => cube(api).view(4, -1),
  unsqueezed: (api) => cube(api).unsqueeze(1),
  unsqueezedLast: (api) => cube(api).unsqueeze(-1),
  squeezed: (api) => cube(api).view(1, 6, 1, 4).squeeze(),
  squeezedOne: (api) => cube(api).view(1, 6, 1, 4).squeeze(2),
  flat: (api) => cube(api).flatten(),
  flatEnd: (api) => cube(api).flatten(1),
  sum: (api) => cube(api).sum(),
  sumOfRows: (api) => cube(api).sum(1),
  sumOfIds: (api) => ids(api).sum(1),
  mean: (api) => cube(api).mean(-1, true),
  meanFunction: (api) => api.mean(cube(api), 0),
  max: (api) => cube(api).max(2),
  min: (api) => cube(api).min(0, true),
  greatest: (api) => cube(api).max(),
  argmax: (api) => cube(api).argmax(),
  argmin: (api) => cube(api).argmin(),
  norm: (api) => cube(api).norm(2, 1),
  wholeNorm: (api) => cube(api).norm(),
  cat: (api) => api.cat([cube(api), cube(api).mul(2)], 1),
  catIds: (api) => api.cat([ids(api), ids(api)]),
  stack: (api) => api.stack([cube(api), cube(api).mul(2)], 2),
  layerNorm: (api) => api.layer_norm(matrix(api), [16]),
  matryoshka: (api) => api.layer_norm(matrix(api), [16]).slice(null, [0, 8]).normalize(2, -1),
  binary: (api) => api.quantize_embeddings(matrix(api), 'binary'),
  ubinary: (api) => api.quantize_embeddings(matrix(api), 'ubinary'),
  product: (api) => api.matmul(matrix(api), matrix(api).transpose(1, 0)),
  products: (api) => api.matmul(cube(api), cube(api).permute(0, 2, 1)),
  topValues: async (api) => (await api.topk(matrix(api), 3))[0],
  topIndices: async (api) => (await api.topk(matrix(api), 3))[1],
  larger: (api) => api.interpolate_4d(cube(api).unsqueeze(1), { size: [5, 9] }),
  smaller: (api) => api.interpolate_4d(matrix(api).view(1, 2, 4, 4), { size: [1, 2, 3, 2] }),
  half: (api) => api.interpolate(matrix(api).view(2, 4, 4), [2, 2], 'bilinear', false),
  full: (api) => api.full([2, 2], 0.5),
  ones: (api) => api.ones([1, 3]),
  zeros: (api) => api.zeros_like(cube(api)),
  fullLike: (api) => api.full_like(ids(api), 0.25),
  deviations: (api) => api.std_mean(cube(api), 1)[0],
  meansOfDeviations: (api) => api.std_mean(cube(api), 1, 0, true)[1],
  deviationOfAll: (api) => api.std_mean(cube(api), null, 0)[0],
  slicedFunction: (api) => api.slice(cube(api), [1, -3], [2, -1], [1, 2]),
};
