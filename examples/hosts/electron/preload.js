const { contextBridge, ipcRenderer } = require('electron');

contextBridge.exposeInMainWorld('simdformer', { embed: (text) => ipcRenderer.invoke('embed', text) });
