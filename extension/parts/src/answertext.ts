/** The text of an answer: rendered, its citations buttons, its doubtful sentences marked; long ones piece by piece. */

import type { Actions } from './actions';
import { dressCode } from './code';
import { make } from './element';
import { renderMarkdown } from './markdown';
import { markCitations, markUnsupported } from './marks';
import type { Answer, Citation, Claim } from './schema';
import { partBlocks } from './streaming';

const PIECE = 3000;
/** Characters that are drawn in one go: some 750 tokens, which no page is held up by. */

/** The text as it is to be shown, and the doubtful sentences that were not found in it. */
export interface AnswerText {
  element: HTMLElement;
  unplaced: Claim[];
}

/**
 * Calls `ready` with the text once all of it is drawn: at once, but for a very long one, which is drawn in pieces with
 * the page at rest in between.
 */
export function drawText(
  { answer, citations, claims }: Pick<Answer, 'answer' | 'citations' | 'claims'>,
  actions: Actions,
  press: (citation: Citation) => void,
  ready: (text: AnswerText) => void
): void {
  const element = make('div', { class: 'lb-text' });
  const pieces = cut(answer);
  const long = pieces.length > 1;
  let unplaced = claims.filter(claim => claim.citations.length === 0);
  const next = (): void => {
    const piece = make('div', long ? { class: 'lb-piece' } : {}, renderMarkdown(pieces.shift() ?? ''));
    unplaced = markUnsupported(piece, unplaced);
    markCitations(piece, citations, press);
    dressCode(piece, actions);
    element.append(...(long ? [piece] : piece.childNodes));
    if (pieces.length > 0) {
      setTimeout(next);
    } else {
      ready({ element, unplaced });
    }
  };
  next();
}

/** Parts a long text between blocks, so that each part can be rendered by itself. */
function cut(text: string): string[] {
  if (text.length <= PIECE) {
    return [text];
  }
  const { whole, rest } = partBlocks(text);
  const pieces: string[] = [];
  for (const block of [...whole, rest]) {
    const last = pieces.at(-1);
    if (last !== undefined && last.length + block.length <= PIECE) {
      pieces[pieces.length - 1] = last + block;
    } else {
      pieces.push(block);
    }
  }
  return pieces;
}
