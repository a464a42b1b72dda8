/** The turns of a conversation, the latest at the bottom and in sight. */

import type { Actions } from './actions';
import { make } from './element';
import { TurnView, type Turn, type TurnDeeds } from './turn';

const NEAR = 48;
/** Pixels from the end within which a reader is taken to follow the text. */

export class Transcript {
  readonly element = make('div', { class: 'lb-transcript', role: 'log', tabindex: '0', 'aria-label': 'Conversation' });
  private views: TurnView[] = [];
  private following = true;
  private frame: number | null = null;

  constructor(
    private readonly welcome: Node,
    private readonly actions: Actions,
    private readonly deeds: TurnDeeds
  ) {
    this.element.append(welcome);
    this.element.addEventListener('scroll', () => {
      const { scrollHeight, scrollTop, clientHeight } = this.element;
      this.following = scrollHeight - scrollTop - clientHeight < NEAR;
    });
    // Text is drawn some time after it came, and pictures of the page's own may grow: the end stays in sight.
    if (typeof ResizeObserver !== 'undefined') {
      this.grown = new ResizeObserver(() => this.follow());
    }
  }

  private readonly grown: ResizeObserver | null = null;

  get turns(): Turn[] {
    return this.views.map(view => view.turn);
  }

  viewOf(turn: Turn): TurnView | undefined {
    return this.views.find(view => view.turn === turn);
  }

  /** Adds a turn at the end and shows it. */
  add(turn: Turn): TurnView {
    const view = new TurnView(turn, this.actions, this.deeds);
    this.views.push(view);
    if (this.views.length === 1) {
      this.element.replaceChildren();
    }
    this.element.append(view.element);
    this.grown?.observe(view.element);
    this.following = true;
    this.follow();
    return view;
  }

  /** Drops a turn and all after it. */
  cutFrom(turn: Turn): void {
    const at = this.views.findIndex(view => view.turn === turn);
    for (const view of at < 0 ? [] : this.views.splice(at)) {
      this.grown?.unobserve(view.element);
      view.element.remove();
    }
  }

  clear(): void {
    this.views.forEach(view => this.grown?.unobserve(view.element));
    this.views = [];
    this.element.replaceChildren(this.welcome);
  }

  /** Draws the turns that have ended anew. */
  redraw(): void {
    this.views.forEach(view => view.redraw());
  }

  /** Keeps the end in sight for a reader who is there: once a frame, because to ask how high the text is costs time. */
  follow(): void {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.following) {
        this.element.scrollTop = this.element.scrollHeight;
      }
    });
  }
}
