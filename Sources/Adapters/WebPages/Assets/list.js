// The list of conversations.

import { h, hidden, icon, iconButton } from './dom.js';
import { language, listTime, t } from './i18n.js';
import { load } from './storage.js';
import { face, preview } from './thread.js';

export class List {
  constructor(chat, { newChat, settings }) {
    this.chat = chat;
    this.rows = new Map();
    this.filter = h('input', { type: 'search', placeholder: t('filter'), 'aria-label': t('filter'), oninput: () => this.render() });
    this.items = h('ul', { class: 'conversations' });
    this.empty = h('div', { class: 'empty', hidden: true });
    this.element = h('nav', { class: 'list', 'aria-label': t('conversations') },
      h('header', { class: 'bar' },
        h('h1', {}, h('img', { src: '/assets/icon.svg', alt: '', width: 30, height: 30 }), t('product')),
        iconButton('gear', t('settings'), { onclick: settings }),
        iconButton('plus', t('newChat'), { class: 'filled', onclick: newChat })),
      h('div', { class: 'filter' }, icon('search'), this.filter),
      this.items, this.empty);
    this.newChat = newChat;
    this.element.addEventListener('keydown', (event) => this.keys(event));
  }

  render() {
    const { chat } = this;
    const wanted = this.filter.value.trim().toLowerCase();
    const all = chat.sorted();
    const shown = all.filter((conversation) => !wanted || chat.titleOf(conversation).toLowerCase().includes(wanted)
      || conversation.members.some(({ name }) => conversation.type === 'direct' && name.toLowerCase().includes(wanted)));
    const rows = new Map();
    let place = this.items.firstChild;
    for (const conversation of shown) {
      const sign = this.sign(conversation);
      const kept = this.rows.get(conversation.id);
      let element = kept?.element;
      if (kept?.sign !== sign) {
        const hadFocus = element?.contains(document.activeElement);
        element = element ?? h('li', {});
        element.replaceChildren(this.row(conversation));
        if (hadFocus) element.firstChild.focus();
      }
      rows.set(conversation.id, { element, sign });
      if (element === place) place = place.nextSibling;
      else this.move(element, place);
    }
    while (place) { const next = place.nextSibling; place.remove(); place = next; }
    this.rows = rows;
    this.empty.hidden = shown.length > 0 || !chat.isLoaded;
    if (!this.empty.hidden) {
      this.empty.replaceChildren(...(all.length ? [h('p', {}, t('nothingFound'))] : [
        h('span', { class: 'big-icon' }, icon('chat')), h('h2', {}, t('noConversations')), h('p', {}, t('noConversationsText')),
        h('button', { type: 'button', class: 'primary', onclick: this.newChat }, t('newChat'))]));
    }
  }

  /** Moving an element takes the focus from it. */
  move(element, place) {
    const hadFocus = element.contains(document.activeElement);
    this.items.insertBefore(element, place);
    if (hadFocus) element.firstChild.focus();
  }

  sign(conversation) {
    const { chat } = this;
    const other = chat.other(conversation);
    return JSON.stringify([chat.titleOf(conversation), conversation.last && [preview(conversation.last), conversation.last.from], conversation.order, conversation.unread,
      chat.open === conversation.id, other && chat.isOnline(other.user), this.typing(conversation), this.draft(conversation), language, new Date().toDateString()]);
  }

  typing(conversation) {
    const user = [...(this.chat.typing.get(conversation.id)?.keys() ?? [])][0];
    return user ? t('typingOne', { name: this.chat.nameOf(user) ?? '' }) : null;
  }

  draft(conversation) { return this.chat.open === conversation.id ? null : load(`skerry.draft.${this.chat.me.id}.${conversation.id}`); }

  line(conversation) {
    const { last } = conversation;
    const { chat } = this;
    const typing = this.typing(conversation);
    if (typing) return h('span', { class: 'accent' }, typing);
    const draft = this.draft(conversation);
    if (draft) return h('span', { class: 'accent' }, t('draft', { text: draft }));
    if (!last) return '';
    const text = preview(last);
    if (last.from === chat.me.id) return t('youSaid', { text });
    return conversation.type === 'group' ? t('someoneSaid', { name: chat.nameOf(last.from) ?? t('formerMember'), text }) : text;
  }

  row(conversation) {
    const { chat } = this;
    const when = conversation.last?.ts ?? conversation.created;
    return h('a', { href: `#/c/${conversation.id}`, class: 'conversation', 'aria-current': chat.open === conversation.id ? 'page' : null },
      face(chat, conversation),
      h('span', { class: 'middle' },
        h('span', { class: 'title', dir: 'auto' }, conversation.type === 'group' ? [icon('people'), hidden(`${t('group')}: `)] : null, h('span', {}, chat.titleOf(conversation))),
        h('span', { class: 'line', dir: 'auto' }, this.line(conversation))),
      h('span', { class: 'end' },
        when ? h('time', { datetime: when }, listTime(new Date(when))) : null,
        conversation.unread > 0 ? h('span', { class: 'badge' }, h('span', { 'aria-hidden': 'true' }, conversation.unread >= 999 ? '999+' : String(conversation.unread)), hidden(t('unread', conversation.unread))) : null));
  }

  keys(event) {
    if (!['ArrowDown', 'ArrowUp'].includes(event.key)) return;
    const links = [...this.items.querySelectorAll('a')];
    const at = links.indexOf(document.activeElement);
    if (at < 0 && document.activeElement !== this.filter) return;
    event.preventDefault();
    const next = at + (event.key === 'ArrowDown' ? 1 : -1);
    (next < 0 ? this.filter : links[Math.min(next, links.length - 1)])?.focus();
  }
}
