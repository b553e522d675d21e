// An extension for VS Code: embeds the selected text. It runs in the extension host, which is a process of its own.
const vscode = require('vscode');

let opened;
/** Loads the model at the first call. Editors start many extensions, so nothing is loaded before. */
function open() {
  opened ??= (async () => {
    const { createDevice, loadModel } = await import('simdformer');
    // The editor and other extensions go first.
    const device = await createDevice({ threads: 'auto', priority: 'background' });
    return { device, model: await loadModel(device, vscode.workspace.getConfiguration('simdformer').get('model')) };
  })();
  return opened;
}

async function embed(text = vscode.window.activeTextEditor?.document.getText() ?? '') {
  const { device, model } = await open();
  const [vector] = await model.encode([text]);
  vscode.window.showInformationMessage(`${vector.length} numbers, computed by ${device.info.backend}`);
  return { backend: device.info.backend, vector: [...vector] };
}

exports.activate = ({ subscriptions }) => {
  subscriptions.push(vscode.commands.registerCommand('simdformer.embed', embed));
};

exports.deactivate = async () => {
  const { device } = (await opened) ?? {};
  device?.dispose();
  opened = undefined;
};
