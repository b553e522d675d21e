import { render } from 'preact';
import { App } from './app.js';
import { Session } from './session.js';
import './styles/base.css';
import './styles/layout.css';
import './styles/charts.css';
import './styles/controls.css';

/** Refuses dropped files. Otherwise the browser would replace the page by the file, and discard trained weights. */
function refuseFiles(event: DragEvent): void {
  if (event.defaultPrevented || !event.dataTransfer?.types.includes('Files')) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = 'none';
}
addEventListener('dragover', refuseFiles);
addEventListener('drop', refuseFiles);

const session = new Session();
void session.start('./model/');
render(<App session={session} />, document.getElementById('app') as HTMLElement);
