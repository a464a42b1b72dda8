/** Places that can be opened: the citations below an answer, the passages that it was written from, search results. */

import type { Actions, Target } from './actions';
import { asFailure } from './door';
import { make } from './element';
import { errorNotice, remark } from './notice';
import { namePlace } from './place';
import type { Citation, Source } from './schema';

/** Opens a place and says beside it what is to be said, such as that it has changed since it was cited. */
export async function openPlace(place: Target, beside: Element, actions: Actions): Promise<void> {
  beside.querySelectorAll(':scope > .lb-notice').forEach(notice => notice.remove());
  try {
    const said = await actions.openCitation(place);
    if (said) {
      beside.append(remark(said));
    }
  } catch (error) {
    beside.append(errorNotice(asFailure(error)));
  }
}

/** Returns the list of citations: each opens its place, and shows the lines that support the answer. */
export function citationList(citations: Citation[], actions: Actions): HTMLElement {
  const list = make('ol', { class: 'lb-citations', 'aria-label': 'Citations' });
  for (const citation of citations) {
    list.append(citationItem(citation, actions));
  }
  return list;
}

function citationItem(citation: Citation, actions: Actions): HTMLElement {
  const item = make('li', { class: 'lb-citation', 'data-n': String(citation.n) });
  const head = make(
    'div',
    { class: 'lb-citation-head' },
    make('span', { class: 'lb-number', text: `[${citation.n}]` }),
    placeButton(citation, item, actions),
    make('span', { class: 'lb-muted', text: `${Math.round(citation.support * 100)} %`, title: 'How well it supports' })
  );
  item.append(head, quoted(citation.quote, citation.path));
  return item;
}

/** Returns the passages with their scores, folded away under `words`. */
export function sourceList(sources: Source[], words: string, actions: Actions): HTMLElement {
  const list = make('ul', { class: 'lb-sources' });
  for (const source of sources) {
    const item = make('li');
    const score = make('span', { class: 'lb-muted', text: source.score.toFixed(2), title: 'Score' });
    item.append(placeButton({ ...source, quote: source.text }, item, actions), score);
    list.append(item);
  }
  return make('details', { class: 'lb-fold' }, make('summary', { text: words }), list);
}

/** Returns one found passage: where it stands, its score, its lines. */
export function passage(source: Source, actions: Actions): HTMLElement {
  const item = make('li', { class: 'lb-citation' });
  const score = make('span', { class: 'lb-muted', text: source.score.toFixed(2), title: 'Score' });
  const head = make('div', { class: 'lb-citation-head' }, placeButton(source, item, actions), score);
  item.append(head, quoted(source.text, source.path));
  return item;
}

/** The keyboard must be able to scroll it, so it can be reached and has a name. */
function quoted(text: string, path: string): HTMLElement {
  return make('pre', { class: 'lb-quote', tabindex: '0', role: 'region', 'aria-label': `Lines of ${path}`, text });
}

function placeButton(place: Target, beside: Element, actions: Actions): HTMLButtonElement {
  const name = namePlace(place);
  const button = make('button', { type: 'button', class: 'lb-place', text: name, title: `Open ${name}` });
  button.addEventListener('click', () => void openPlace(place, beside, actions));
  return button;
}

