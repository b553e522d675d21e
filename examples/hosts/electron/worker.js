// The utility process. Electron gives `parentPort`.
const { embed } = require('./embed.js');

process.parentPort.on('message', async ({ data: { id, text } }) => {
  try {
    process.parentPort.postMessage({ id, answer: await embed(text) });
  } catch (error) {
    process.parentPort.postMessage({ id, error: error.message });
  }
});
