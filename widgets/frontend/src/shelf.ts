/** The conversations that the daemon keeps: choose, begin, rename, delete, save. */

import { iconButton, make } from '../../../extension/parts/src';
import type { Message } from './channel';

/** As the kernel lists them. */
export interface ConversationInfo {
  id: string;
  title: string;
  updated: string;
}

export class ShelfBar {
  readonly element = make('div', { class: 'lb-shelf', role: 'toolbar', 'aria-label': 'Conversations' });
  private readonly list = make('select', { class: 'lb-select', 'aria-label': 'Conversation' });
  private readonly title = make('input', { class: 'lb-box', type: 'text', 'aria-label': 'Title of the conversation' });
  private readonly rename = iconButton('edit', 'Rename this conversation', () => this.beginRename());
  private readonly remove = iconButton('close', 'Delete this conversation', () => this.askDelete());
  private known: ConversationInfo[] = [];
  private current = '';

  constructor(private readonly send: (message: Message) => void) {
    this.list.addEventListener('focus', () => send({ type: 'conversations' }));
    this.list.addEventListener('change', () => send({ type: 'open', id: this.list.value }));
    this.title.addEventListener('keydown', event => this.key(event));
    this.title.addEventListener('blur', () => this.endRename(false));
    this.element.append(
      this.list,
      this.title,
      iconButton('insert', 'New conversation', () => send({ type: 'begin' })),
      this.rename,
      this.remove,
      iconButton('save', 'Save as Markdown', () => send({ type: 'export' }))
    );
    this.endRename(false);
  }

  show(known: ConversationInfo[], current: string): void {
    this.known = known;
    this.current = current;
    const kept = known.some(one => one.id === current);
    const fresh = kept ? [] : [make('option', { value: current, text: 'New conversation' })];
    this.list.replaceChildren(...fresh, ...known.map(one => make('option', { value: one.id, text: one.title })));
    this.list.value = current;
    this.rename.disabled = this.remove.disabled = !kept;
  }

  private beginRename(): void {
    this.title.value = this.known.find(one => one.id === this.current)?.title ?? '';
    this.title.hidden = false;
    this.list.hidden = true;
    this.title.select();
    this.title.focus();
  }

  private key(event: KeyboardEvent): void {
    if (event.key === 'Enter' || event.key === 'Escape') {
      event.preventDefault();
      this.endRename(event.key === 'Enter');
    }
  }

  private endRename(keep: boolean): void {
    const title = this.title.value.trim();
    if (keep && title && !this.title.hidden) {
      this.send({ type: 'rename', id: this.current, title });
    }
    this.title.hidden = true;
    this.list.hidden = false;
  }

  /** Deletes at the second press: what is gone is gone. */
  private askDelete(): void {
    if (this.remove.classList.contains('lb-sure')) {
      this.calm();
      this.send({ type: 'delete', id: this.current });
      return;
    }
    this.remove.classList.add('lb-sure');
    this.remove.setAttribute('aria-label', 'Press again to delete it for good');
    this.remove.title = 'Press again to delete it for good';
    setTimeout(() => this.calm(), 4000);
  }

  private calm(): void {
    this.remove.classList.remove('lb-sure');
    this.remove.setAttribute('aria-label', 'Delete this conversation');
    this.remove.title = 'Delete this conversation';
  }
}
