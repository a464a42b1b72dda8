/** Citations and doubts in the answer's text: `[1]` becomes a button, a sentence that nothing supports is marked. */

import { make } from './element';
import { renderMarkdown } from './markdown';
import type { Citation, Claim } from './schema';

const MARK = /\[(\d{1,4})\]/g;
const MARKDOWN = /[*_`~[\]<>&|#\\!]|^\s*(?:\d+[.)]|[-+=])/m;
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
 * A sentence may run over emphasis and inline code; how many blanks stand between its words does not matter. What is
 * said twice is marked twice where it is doubted twice.
 */
export function markUnsupported(body: Element, claims: Claim[]): Claim[] {
  const doubted = claims.filter(claim => claim.citations.length === 0);
  if (doubted.length === 0) {
    return [];
  }
  const nodes = textsOf(body);
  const whole = squeeze(nodes.map(node => node.data).join(''));
  const stretches: Stretch[] = [];
  const missed = doubted.filter(claim => {
    const found = find(whole, squeeze(plainText(claim.text)).text, stretches);
    stretches.push(...(found ? [found] : []));
    return !found;
  });
  // From the end on: what was wrapped does not move what stands before it.
  stretches.sort((one, other) => other.begin - one.begin).forEach(({ begin, end }) => wrap(nodes, begin, end));
  return missed;
}

/** Characters of a body, counted over all its text nodes. */
interface Stretch {
  begin: number;
  end: number;
}

/** Returns the first stretch that holds `wanted` and is not taken. */
function find({ text, places }: Squeezed, wanted: string, taken: Stretch[]): Stretch | null {
  let at = wanted ? text.indexOf(wanted) : -1;
  while (at >= 0) {
    const begin = places[at] ?? 0;
    const end = (places[at + wanted.length - 1] ?? 0) + 1;
    if (!taken.some(other => begin < other.end && other.begin < end)) {
      return { begin, end };
    }
    at = text.indexOf(wanted, at + 1);
  }
  return null;
}

/** Returns Markdown as the text that is read; most sentences have none in them. */
function plainText(text: string): string {
  return MARKDOWN.test(text) ? make('div', {}, renderMarkdown(text)).textContent : text;
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

interface Squeezed {
  text: string;
  places: number[];
}

/** Returns the text without its blanks, and where each of its characters stood. */
function squeeze(text: string): Squeezed {
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
