// @vitest-environment jsdom
import { describe, expect, it } from 'vitest';

import { renderMarkdown } from '../src/markdown';

function html(text: string): string {
  const box = document.createElement('div');
  box.append(renderMarkdown(text));
  return box.innerHTML;
}

describe('Markdown that others wrote', () => {
  it('keeps emphasis, lists, tables and code', () => {
    expect(html('**a** `b`')).toBe('<p><strong>a</strong> <code>b</code></p>\n');
    expect(html('- x\n- y')).toContain('<li>x</li>');
    expect(html('|a|\n|-|\n|1|')).toContain('<td>1</td>');
    expect(html('```python\nx = 1\n```')).toBe('<pre><code class="language-python">x = 1\n</code></pre>\n');
  });

  it.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    'a <b onclick="alert(1)">b</b>',
    '<iframe src="https://e.example"></iframe>',
    '<svg><a href="javascript:alert(1)">x</a></svg>',
    '<style>*{display:none}</style>',
    '<form action="https://e.example"><input name=a></form>'
  ])('shows %s and does not act on it', text => {
    const box = document.createElement('div');
    box.append(renderMarkdown(text));
    const tags = [...box.querySelectorAll('*')].map(one => one.tagName);
    expect(tags.filter(tag => tag !== 'P')).toEqual([]);
    expect(box.textContent.trim()).toBe(text);
  });

  it('names where a link leads, and links nothing', () => {
    expect(html('[here](https://e.example/?q=1)')).toBe('<p>here (https://e.example/?q=1)</p>\n');
    expect(html('see https://e.example now')).toBe('<p>see https://e.example now</p>\n');
    expect(html('[x](javascript:alert(1))')).not.toContain('<a');
  });

  it('describes a picture instead of fetching it', () => {
    expect(html('![a plot](https://e.example/p.png)')).toBe('<p>a plot</p>\n');
  });
});
