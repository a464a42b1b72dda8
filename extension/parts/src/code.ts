/** A block of code, with what can be done with it. */

import type { Actions } from './actions';
import { acknowledge, iconButton } from './button';
import { make } from './element';
import { languageOf } from './markdown';

/** Dresses each code block in `body` with buttons to copy and, where the page can, to insert and to replace. */
export function dressCode(body: ParentNode, actions: Actions): void {
  for (const pre of [...body.querySelectorAll('pre')]) {
    const code = pre.querySelector('code');
    if (code) {
      pre.replaceWith(codeBlock(code.textContent.replace(/\n$/, ''), languageOf(code), actions));
    }
  }
}

/** Returns the code as a block of its own. */
export function codeBlock(text: string, language: string, actions: Actions): HTMLElement {
  const code = make('code', { text });
  // It may be wider than the panel: the keyboard must be able to scroll it.
  const label = language ? `Code, ${language}` : 'Code';
  const pre = make('pre', { tabindex: '0', role: 'region', 'aria-label': label }, code);
  const bar = make('div', { class: 'lb-code-bar' }, make('span', { class: 'lb-code-language', text: language }));
  bar.append(copyButton('Copy the code', () => text));
  if (actions.insertCode) {
    bar.append(iconButton('insert', 'Insert into a new cell', () => void actions.insertCode?.(text, language)));
  }
  if (actions.replaceCode) {
    bar.append(iconButton('replace', 'Replace the current cell…', () => void actions.replaceCode?.(text, language)));
  }
  void actions.highlight?.(text, language, code).catch(() => {
    code.textContent = text; // plain, as where nothing colours it
  });
  return make('div', { class: 'lb-code' }, bar, pre);
}

/** Returns a button that copies what `text` returns when it is pressed. */
export function copyButton(label: string, text: () => string): HTMLButtonElement {
  const button: HTMLButtonElement = iconButton('copy', label, () => {
    navigator.clipboard.writeText(text()).then(
      () => acknowledge(button, 'Copied'),
      () => acknowledge(button, 'The browser did not let it be copied')
    );
  });
  return button;
}
