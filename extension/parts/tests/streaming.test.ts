// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { renderMarkdown } from '../src/markdown';
import { partBlocks, StreamingText } from '../src/streaming';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const TEXT = '# Title\n\nA paragraph\nof two lines.\n\n```python\nx = 1\n\ny = 2\n```\n\n- one\n- two\n\nEnd.';

function htmlOf(node: Node): string {
  const box = document.createElement('div');
  box.append(node);
  return box.innerHTML;
}

describe('a text that grows', () => {
  it('ends as it would have been rendered whole, however it was cut', () => {
    for (const size of [1, 3, 7, 1000]) {
      const stream = new StreamingText();
      for (let at = 0; at < TEXT.length; at += size) {
        stream.add(TEXT.slice(at, at + size));
        vi.runAllTimers();
      }
      stream.close();
      expect(stream.whole).toBe(TEXT);
      expect(stream.element.textContent.replace(/\s+/g, ' ')).toBe(
        htmlOf(renderMarkdown(TEXT)).replace(/<[^>]*>/g, '').replace(/\s+/g, ' ')
      );
    }
  });

  it('does not touch what is whole', () => {
    const stream = new StreamingText();
    stream.add('First.\n\nSec');
    vi.runAllTimers();
    const first = stream.element.querySelector('p');
    stream.add('ond.\n\nThird');
    vi.runAllTimers();
    expect(stream.element.querySelector('p')).toBe(first);
    expect(stream.element.textContent).toContain('Third');
  });

  it('draws what comes all at once in pieces, and the rest when it is closed', () => {
    const blocks = Array.from({ length: 600 }, (_, n) => `Block ${n} is a paragraph.\n\n`);
    const stream = new StreamingText();
    stream.add(blocks.join(''));
    vi.advanceTimersToNextTimer();
    const first = stream.element.querySelectorAll('p').length;
    expect(first).toBeGreaterThan(100);
    expect(first).toBeLessThan(300);
    vi.advanceTimersToNextTimer();
    expect(stream.element.querySelectorAll('p').length).toBeGreaterThan(first);
    stream.close();
    expect(stream.element.querySelectorAll('p')).toHaveLength(600);
  });

  it('draws nothing more once it is halted', () => {
    const stream = new StreamingText();
    stream.add('now');
    stream.halt();
    vi.runAllTimers();
    expect(stream.element.textContent).toBe('');
  });

  it('draws the last words when it is closed', () => {
    const stream = new StreamingText();
    stream.add('now');
    stream.close();
    expect(stream.element.textContent).toContain('now');
  });
});

describe('whole blocks', () => {
  it.each([
    ['no blank line', 0],
    ['a\n\nb', 3],
    ['```\na\n\nb', 0],
    ['```\na\n\nb\n```\n\nc', 14],
    ['~~~~\n```\n\n', 0],
    ['a\n\n', 3]
  ])('of %j end at %i', (text, end) => {
    const { whole, rest } = partBlocks(text);
    expect(whole.join('')).toBe(text.slice(0, end));
    expect(rest).toBe(text.slice(end));
  });
});
