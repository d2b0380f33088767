/** The head of a session: the way back, its title, who is here, what can be done with it. */

import { avatar } from './avatar.js';
import { h, put } from './dom.js';
import { icon } from './icons.js';
import { showMembers } from './members-sheet.js';
import { menuButton } from './menu.js';
import { SessionPart } from './session-part.js';
import { deleteSession, leaveSession, renameSession } from './session-dialogs.js';

const FACES_MAX = 4;

export class SessionHead extends SessionPart {
  #title = h('h1', { tabindex: -1 });
  #line = h('p', { class: 'head-line' });
  #people = h('button', { type: 'button', class: 'faces' });

  connectedCallback() {
    put(this,
      h('a', { href: '#', class: 'icon-button back', 'aria-label': 'All sessions' }, icon('back')),
      h('div', { class: 'head-words' }, this.#title, this.#line),
      this.#people,
      menuButton('Session menu', () => this.#entries()));
    this.listen(this.#people, 'click', () => showMembers(this.deck, this.opened));
    this.until(this.opened.presence.on('changed', () => this.#render()));
    this.until(this.opened.on('session', () => this.#render()));
    this.until(this.opened.on('phase', () => this.#render()));
    this.#render();
  }

  /** @returns {import('./menu.js').Entry[]} */
  #entries() {
    const [deck, opened] = [this.deck, this.opened];
    const people = /** @type {const} */ ({
      icon: 'people', label: opened.isOwner ? 'Share and people' : 'People',
      run: () => showMembers(deck, opened),
    });
    if (!opened.isOwner) {
      return [people, { icon: 'leave', label: 'Leave session', isDanger: true,
        run: () => leaveSession(deck, opened) }];
    }
    return [people,
      { icon: 'edit', label: 'Rename', run: () => renameSession(deck, opened) },
      { icon: 'trash', label: 'Delete session', isDanger: true,
        run: () => deleteSession(deck, opened) }];
  }

  #render() {
    const { title, presence, isOwner } = this.opened;
    const { people } = this.deck;
    const members = [...presence.members.values()];
    put(this.#title, h('bdi', {}, title));
    const here = members.filter(({ user_id }) => presence.online?.has(user_id)).length;
    const count = members.length === 1 ? 'Only you' : `${members.length} people`;
    put(this.#line, members.length === 0 ? '' : count,
      presence.online && members.length > 1 && h('span', { class: 'here' }, `${here} here now`));
    const others = members.filter(({ user_id }) => !people.isMe(user_id));
    const faces = others.slice(0, FACES_MAX).map(({ user_id: id }) => (
      avatar(id, people.name(id) ?? '?', {
        isOnline: presence.online?.has(id), isAssistant: people.isAssistant(id),
      })));
    const label = isOwner ? 'Share' : 'People';
    put(this.#people, ...faces, h('span', { class: 'share' }, icon(isOwner ? 'invite' : 'people'),
      h('span', { class: 'share-word' }, label)), h('span', { class: 'unseen' }, `(${count})`));
  }
}
customElements.define('ad-session-head', SessionHead);
