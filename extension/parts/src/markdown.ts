/**
 * Markdown that others wrote, as DOM that cannot act.
 *
 * An answer, and the lines it cites, come from files that may hold anything. So HTML in it is shown as text, a link
 * shows where it leads but is none, a picture is its description; emphasis, lists, tables, headings and code are left.
 */

import DOMPurify from 'dompurify';
import { Marked, type Tokens } from 'marked';

const TAGS = [
  ...['p', 'br', 'hr', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li'],
  ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td']
];
const ATTRIBUTES = ['class', 'start', 'align'];
const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

const reader = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escapeText(text),
    image: ({ text, href }: Tokens.Image) => escapeText(text || href),
    checkbox: ({ checked }: Tokens.Checkbox) => (checked ? '☑ ' : '☐ '),
    link(token: Tokens.Link): string {
      const words = this.parser.parseInline(token.tokens);
      return token.text === token.href || token.raw === token.text ? words : `${words} (${escapeText(token.href)})`;
    }
  }
});

/** Returns the text as a fragment; code blocks are `pre > code.language-…`. */
export function renderMarkdown(text: string): DocumentFragment {
  const html = reader.parse(text, { async: false });
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true
  });
}

/** Returns the language that a fenced block names, '' where it names none. */
export function languageOf(code: Element): string {
  const named = [...code.classList].find(name => name.startsWith('language-'));
  return named?.slice('language-'.length) ?? '';
}

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, mark => ENTITIES[mark] ?? mark);
}
