/** What the panel shows before the first question. */

import { make, wordButton } from '../../parts/src';
import type { Workspace } from './workspace';

const EXAMPLES = ['What does this project do?', 'Where is the data read?', 'Which cell makes the last plot?'];

/** Returns the greeting: what is asked about, and questions that can be pressed. */
export function welcome(workspace: Workspace, ask: (question: string) => void): HTMLElement {
  const place = workspace.roots.join(', ');
  const lines = make(
    'p',
    {},
    place ? `Answers come from ${place}, each sentence with the lines it rests on.` : 'Jupyter serves no folder here.',
    ' Nothing leaves this machine.'
  );
  const examples = make('div', { class: 'lb-examples' }, ...EXAMPLES.map(one => wordButton(one, () => ask(one))));
  return make('div', { class: 'lb-welcome' }, make('h2', { text: 'Ask about your files' }), lines, examples);
}
