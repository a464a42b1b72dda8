/** The parts' icons, drawn in the text's colour on a field of 16 by 16. */

const SHAPES = {
  send: 'M2 2.5 14 8 2 13.5 3.8 8.6 9 8 3.8 7.4Z',
  stop: 'M4 4h8v8H4Z',
  copy: 'M6 2h7v9h-2v3H4V5h2Zm1.2 1.2v6.6h4.6V3.2ZM6 6.2h-.8v6.6h4.6V11H6Z',
  insert: 'M2 3h12v1.3H2Zm0 8.7h12V13H2ZM7.3 5.5h1.4v1.8h1.8v1.4H8.7v1.8H7.3V8.7H5.5V7.3h1.8Z',
  replace: 'M11 2l3 3-3 3V5.7H4V4.3h7Zm-6 6v2.3h7v1.4H5V14l-3-3Z',
  retry: 'M8 3V1l3.5 2.8L8 6.6V4.4a3.8 3.8 0 1 0 3.8 3.8h1.4A5.2 5.2 0 1 1 8 3Z',
  edit: 'M10.8 2 14 5.2 5.7 13.5 2 14l.5-3.7Zm0 1.9-7 7-.2 1.5 1.5-.2 7-7Z',
  up: 'M2 7h2.5v7H2ZM6 14V6.7L9 2c1 0 1.6.7 1.4 1.7L10 6.3h3.2c.8 0 1.4.7 1.2 1.5l-1.1 5c-.1.7-.7 1.2-1.4 1.2Z',
  down: 'M2 9h2.5V2H2ZM6 2v7.3L9 14c1 0 1.6-.7 1.4-1.7L10 9.7h3.2c.8 0 1.4-.7 1.2-1.5l-1.1-5C13.2 2.5 12.6 2 11.9 2Z',
  close: 'M4.1 3 8 6.9 11.9 3l1.1 1.1L9.1 8l3.9 3.9-1.1 1.1L8 9.1 4.1 13 3 11.9 6.9 8 3 4.1Z',
  save: 'M7.3 2h1.4v6l2.2-2.2 1 1L8 10.7 4.1 6.8l1-1L7.3 8ZM3 12.2h10v1.4H3Z'
} as const;

export type IconName = keyof typeof SHAPES;

/** Returns the icon, which a screen reader passes over: the button around it has the name. */
export function icon(name: IconName): SVGElement {
  const drawing = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const attributes = { viewBox: '0 0 16 16', width: '16', height: '16', 'aria-hidden': 'true' };
  for (const [key, value] of Object.entries(attributes)) {
    drawing.setAttribute(key, value);
  }
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', SHAPES[name]);
  path.setAttribute('fill', 'currentColor');
  path.setAttribute('fill-rule', 'evenodd');
  drawing.append(path);
  return drawing;
}
