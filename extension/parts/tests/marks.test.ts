// @vitest-environment jsdom
import { describe, expect, it, vi } from 'vitest';

import { markCitations, markUnsupported } from '../src/marks';
import { renderMarkdown } from '../src/markdown';
import { citation } from './answers';

function body(text: string): HTMLElement {
  const box = document.createElement('div');
  box.append(renderMarkdown(text));
  return box;
}

describe('citation marks', () => {
  it('become buttons that tell which was pressed', () => {
    const box = body('One. [1] Two. [2][1]');
    const press = vi.fn();
    markCitations(box, [citation(), citation({ n: 2 })], press);
    const buttons = [...box.querySelectorAll('button')];
    expect(buttons.map(button => button.textContent)).toEqual(['[1]', '[2]', '[1]']);
    buttons[1]?.click();
    expect(press).toHaveBeenCalledWith(expect.objectContaining({ n: 2 }));
    expect(box.textContent.trim()).toBe('One. [1] Two. [2][1]');
  });

  it('leave numbers alone that are no citation, and all code', () => {
    const box = body('a[0] and [7]\n\n```\nx[1]\n```\n');
    markCitations(box, [citation()], vi.fn());
    expect(box.querySelectorAll('button')).toHaveLength(0);
  });
});

describe('sentences that nothing supports', () => {
  const doubtful = (text: string) => ({ text, citations: [], support: 0.1 });
  const marked = (box: HTMLElement) =>
    [...box.querySelectorAll('.lb-unsupported')].map(one => one.textContent).join('|');

  it('are marked where they stand', () => {
    const box = body('It rained. The pump ran. [1]');
    expect(markUnsupported(box, [doubtful('It rained.')])).toEqual([]);
    expect(marked(box)).toBe('It rained.');
    expect(box.textContent.trim()).toBe('It rained. The pump ran. [1]');
  });

  it('are found over emphasis and code', () => {
    const box = body('So **it** ran `df.x` twice. Yes.');
    expect(markUnsupported(box, [doubtful('So **it** ran `df.x` twice.')])).toEqual([]);
    expect(marked(box).replaceAll('|', '')).toBe('So it ran df.x twice.');
  });

  it('are marked each where they stand, several in one paragraph and one said twice', () => {
    const box = body('It rained. The pump ran. It rained. 1 < 2 then.');
    const claims = [doubtful('1 < 2 then.'), doubtful('It rained.'), doubtful('It rained.')];
    expect(markUnsupported(box, claims)).toEqual([]);
    expect(marked(box)).toBe('It rained.|It rained.|1 < 2 then.');
    expect(box.textContent.trim()).toBe('It rained. The pump ran. It rained. 1 < 2 then.');
  });

  it('are given back where they are not found', () => {
    const claim = doubtful('Something else.');
    expect(markUnsupported(body('It rained.'), [claim])).toEqual([claim]);
  });

  it('do not include those with a citation', () => {
    const box = body('It rained.');
    expect(markUnsupported(box, [{ text: 'It rained.', citations: [1], support: 0.9 }])).toEqual([]);
    expect(marked(box)).toBe('');
  });
});
