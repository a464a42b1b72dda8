/** Citations and doubts in the answer's text: `[1]` becomes a button, a sentence that nothing supports is marked. */

import { make } from './element';
import { renderMarkdown } from './markdown';
import type { Citation, Claim } from './schema';

const MARK = /\[(\d{1,4})\]/g;
export const UNSUPPORTED = 'No passage supports this';

/** Turns the marks of `citations` in the text of `body` into buttons, code left alone. */
export function markCitations(body: Element, citations: Citation[], press: (citation: Citation) => void): void {
  const known = new Map(citations.map(citation => [citation.n, citation]));
  for (const node of textsOf(body)) {
    const parts = partsOf(node.data, known, press);
    if (parts.length > 1) {
      node.replaceWith(...parts);
    }
  }
}

function partsOf(text: string, known: Map<number, Citation>, press: (citation: Citation) => void): (string | Node)[] {
  const parts: (string | Node)[] = [];
  let end = 0;
  for (const match of text.matchAll(MARK)) {
    const citation = known.get(Number(match[1]));
    if (citation) {
      parts.push(text.slice(end, match.index), citationButton(citation, press));
      end = match.index + match[0].length;
    }
  }
  return [...parts, text.slice(end)];
}

/** Returns the button `[1]`. */
export function citationButton(citation: Citation, press: (citation: Citation) => void): HTMLButtonElement {
  const button = make('button', {
    type: 'button',
    class: 'lb-mark',
    text: `[${citation.n}]`,
    title: `${citation.path}, line ${citation.start_line}`,
    'aria-label': `Source ${citation.n}: ${citation.path}`
  });
  button.addEventListener('click', () => press(citation));
  return button;
}

/**
 * Marks each sentence that no passage supports where it stands in `body`; returns those that could not be found there.
 * A sentence may run over emphasis and inline code; how many blanks stand between its words does not matter.
 */
export function markUnsupported(body: Element, claims: Claim[]): Claim[] {
  return claims.filter(claim => claim.citations.length === 0 && !markOne(body, claim));
}

function markOne(body: Element, claim: Claim): boolean {
  const wanted = squeeze(make('div', {}, renderMarkdown(claim.text)).textContent).text;
  const nodes = textsOf(body);
  const whole = squeeze(nodes.map(node => node.data).join(''));
  const at = wanted ? whole.text.indexOf(wanted) : -1;
  const first = whole.places[at];
  const last = whole.places[at + wanted.length - 1];
  if (first === undefined || last === undefined) {
    return false;
  }
  wrap(nodes, first, last + 1);
  return true;
}

/** Wraps the characters from `begin` to `end`, counted over all nodes. */
function wrap(nodes: Text[], begin: number, end: number): void {
  let at = 0;
  for (const node of nodes) {
    const from = Math.max(begin - at, 0);
    const to = Math.min(end - at, node.length);
    at += node.length;
    if (from < to && node.data.slice(from, to).trim()) {
      const piece = from > 0 ? node.splitText(from) : node;
      if (to - from < piece.length) {
        piece.splitText(to - from);
      }
      const marked = make('span', { class: 'lb-unsupported', title: UNSUPPORTED });
      piece.replaceWith(marked);
      marked.append(piece);
    }
  }
}

/** Returns the text without its blanks, and where each of its characters stood. */
function squeeze(text: string): { text: string; places: number[] } {
  const places: number[] = [];
  let kept = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character.trim()) {
      kept += character;
      places.push(at);
    }
  }
  return { text: kept, places };
}

/** Returns the text nodes outside blocks of code and outside marks, in order. */
function textsOf(body: Element): Text[] {
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  const found: Text[] = [];
  while (walker.nextNode()) {
    const node = walker.currentNode as Text;
    if (!node.parentElement?.closest('pre, button')) {
      found.push(node);
    }
  }
  return found;
}
