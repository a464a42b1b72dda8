/** The context bar: what goes to the model beside the question, and can be taken out before it is sent. */

import type { Attachment } from './attachment';
import { iconButton } from './button';
import { make } from './element';

export class ContextBar {
  readonly element = make('div', { class: 'lb-context', role: 'group', 'aria-label': 'Sent with the question' });
  private list: Attachment[] = [];

  /** `scope` says what is searched, such as the folder's name; `removed` hears of what the person takes out. */
  constructor(
    private scope: string,
    private readonly removed?: (attachment: Attachment) => void
  ) {
    this.draw();
  }

  get attachments(): Attachment[] {
    return [...this.list];
  }

  /** Puts something in; of one title only the latest stays. */
  attach(attachment: Attachment): void {
    this.list = [...this.list.filter(other => other.title !== attachment.title), attachment];
    this.draw();
  }

  clear(): void {
    this.list = [];
    this.draw();
  }

  setScope(scope: string): void {
    this.scope = scope;
    this.draw();
  }

  private draw(): void {
    const scope = this.scope ? [make('span', { class: 'lb-chip lb-scope', text: this.scope })] : [];
    this.element.replaceChildren(...scope, ...this.list.map(attachment => this.chip(attachment)));
    this.element.hidden = this.element.childElementCount === 0;
  }

  private chip(attachment: Attachment): HTMLElement {
    const remove = iconButton('close', `Do not send ${attachment.title}`, () => {
      this.list = this.list.filter(other => other !== attachment);
      this.draw();
      this.removed?.(attachment);
    });
    const text = make('pre', { text: attachment.text, tabindex: '0', role: 'region', 'aria-label': attachment.title });
    const fold = make('details', { class: 'lb-fold' }, make('summary', { text: attachment.title }), text);
    return make('span', { class: 'lb-chip lb-attached' }, fold, remove);
  }
}
