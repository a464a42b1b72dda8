/** Buttons: with words, or with an icon whose name is read aloud and shown on hover. */

import { make } from './element';
import { icon, type IconName } from './icon';

/** Returns a small button that shows an icon. */
export function iconButton(name: IconName, label: string, onPress: () => void): HTMLButtonElement {
  const button = make('button', { type: 'button', class: 'lb-icon-button', title: label, 'aria-label': label });
  button.append(icon(name));
  button.addEventListener('click', onPress);
  return button;
}

/** Returns a button that shows words. */
export function wordButton(words: string, onPress: () => void): HTMLButtonElement {
  const button = make('button', { type: 'button', class: 'lb-word-button', text: words });
  button.addEventListener('click', onPress);
  return button;
}

/** Shows for a moment that a button has done its work. */
export function acknowledge(button: HTMLButtonElement, words: string): void {
  const label = button.getAttribute('aria-label') ?? '';
  button.classList.add('lb-done');
  button.setAttribute('aria-label', words);
  button.title = words;
  setTimeout(() => {
    button.classList.remove('lb-done');
    button.setAttribute('aria-label', label);
    button.title = label;
  }, 1500);
}
