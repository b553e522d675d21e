// An app for Electron: its window asks a utility process for embeddings. The model never blocks the window.
const { join } = require('node:path');
const { app, BrowserWindow, ipcMain, utilityProcess } = require('electron');

app.whenReady().then(() => {
  const worker = utilityProcess.fork(join(__dirname, 'worker.js'));
  const waiting = new Map();
  let last = 0;
  worker.on('message', ({ id, answer, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(answer);
    else reject(new Error(error));
  });
  const embed = (text) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, text });
    });
  if (process.env.EMBED !== undefined) {
    // For the test: prints one answer and ends. Threads of the engine end with their process.
    embed(process.env.EMBED).then((answer) => {
      console.log(JSON.stringify(answer));
      app.quit();
    });
    return;
  }
  ipcMain.handle('embed', (_, text) => embed(text));
  new BrowserWindow({ webPreferences: { preload: join(__dirname, 'preload.js') } }).loadFile('index.html');
});
app.on('window-all-closed', () => app.quit());
