/** Makes elements: the few lines that stand in for a framework. */

export interface Attributes {
  class?: string;
  title?: string;
  text?: string;
  /** Any other attribute, such as `aria-label`. */
  [name: string]: string | undefined;
}

/** Returns a new element with these attributes and children; `text` is its text, `undefined` leaves one out. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') {
      element.textContent = value ?? '';
    } else if (value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}
