// The playground: one tab for each thing that a model can do. All models run in this page.
import { h, render } from 'preact';
import { App } from './app.js';

render(h(App, {}), document.getElementById('app') as HTMLElement);
