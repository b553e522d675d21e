// The end of the message that a folder has no config.json: which files it has, and the nearest thing that works.

/** A kind of folder without config.json, by its files. The first one that fits is named. */
const KINDS: readonly (readonly [files: RegExp, hint: (found: string) => string])[] = [
  [/^(.*)\/config\.json$/, (found) => `give the folder ${found.replace(/\/config\.json$/, '')}, which has one`],
  [/^model_index\.json$/, () => 'it is a pipeline of diffusers, which is not read'],
  [
    /^open_clip_config\.json$/,
    () => 'it is in the format of OpenCLIP: give a repository in the format of transformers',
  ],
  [
    /^(params\.json|consolidated[\w.-]*\.(pth|safetensors))$/,
    () => 'it is in the format of the first release: give the repository in the format of transformers',
  ],
  [/\.gguf$/, (found) => `give the path of the GGUF file, ${found}`],
  [/^adapter_model\.(safetensors|bin)$/, () => 'adapters also need adapter_config.json, which names their base model'],
  [
    /\.(h5|msgpack|tflite|mlmodel|ot)$/,
    (found) => `${found} is not a PyTorch file: give safetensors or pytorch_model.bin`,
  ],
  [/\.onnx$/, () => 'ONNX files are in the folder onnx, beside a config.json in the folder above: give that folder'],
  [
    /\.(safetensors|bin|pt|pth)$/,
    (found) => `${found} does not say what model it is: put the config.json of its repository beside it`,
  ],
  [/^(tokenizer\.json|vocab\.(json|txt)|[\w.-]+\.model)$/, () => 'for a tokenizer alone, call loadTokenizer'],
];

/** Files that are named. */
const MAX_LISTED = 8;

/** `names`: all files, or null if they are unknown. Returns an empty text or one that begins with a comma. */
export function withoutConfig(names: readonly string[] | null): string {
  if (names === null) return '';
  if (names.length === 0) return ', and no other files';
  const moreNames = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : '';
  const listed = `, only ${names.slice(0, MAX_LISTED).join(', ')}${moreNames}`;
  for (const [files, hint] of KINDS) {
    const found = names.find((name) => files.test(name));
    if (found !== undefined) return `${listed}: ${hint(found)}`;
  }
  return listed;
}
