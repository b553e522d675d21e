import { render } from 'preact';
import { App } from './app.js';
import { Session } from './session.js';
import './styles/base.css';
import './styles/layout.css';
import './styles/charts.css';
import './styles/controls.css';

const session = new Session();
void session.start('./model/');
render(<App session={session} />, document.getElementById('app') as HTMLElement);
