// Runs a snippet of the site: an ES module whose imports of simdformer lead to the files beside this one.
const folder = new URL('package/dist/browser/', import.meta.url).href;
const moduleOf = (_, path = '/index') => `'${folder}${path.slice(1)}.js'`;

const show = (value) => {
  if (typeof value === 'string') return value;
  if (ArrayBuffer.isView(value)) return `[${Array.from(value.subarray(0, 8), (x) => +x.toPrecision(4)).join(', ')} …]`;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
};

for (const name of ['log', 'info', 'warn', 'error']) {
  console[name] = (...values) => postMessage({ text: values.map(show).join(' ') });
}

addEventListener('message', async ({ data }) => {
  const source = data.replaceAll(/["']simdformer(\/[\w-]+)?["']/g, moduleOf);
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  try {
    await import(url);
    postMessage({ isDone: true });
  } catch (error) {
    postMessage({ error: `${error.name}: ${error.message}` });
  }
});
