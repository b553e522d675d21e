// The playground: one tab for each thing that a model can do. All models run in this page.
import { h, render } from 'preact';
import { App } from './app.js';
import { startKeeping } from './offline.js';

void startKeeping();
render(h(App, {}), document.getElementById('app') as HTMLElement);
