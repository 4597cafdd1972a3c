// One conversation: the messages, the line at the bottom to write in, and everything one can do with a message.

import { avatar, button, confirmDialog, copyText, h, hidden, icon, iconButton, menu, set, toast } from './dom.js';
import { isEmoji, pickEmoji, quickReactions } from './emoji.js';
import { ago, clockTime, dayName, errorText, fullTime, language, sameDay, t } from './i18n.js';
import { load, save } from './storage.js';
import { locationDialog } from './people.js';

const textBytes = 8000;
const togetherMilliseconds = 5 * 60_000;
const nearBottom = 80;
const encoder = new TextEncoder();

export class Thread {
  constructor(chat, conv, { back, details }) {
    this.chat = chat;
    this.conv = conv;
    this.rows = new Map();
    this.isAtBottom = true;
    this.isFirst = true;
    // Not live by itself: a page of older messages or a new tick would be read out like news. The app reads out what arrives.
    this.log = h('div', {
      class: 'log', role: 'log', 'aria-live': 'off', tabindex: 0, id: 'messages',
      onscroll: () => this.scrolled(), onkeydown: (event) => this.keys(event),
    });
    this.downButton = iconButton('down', t('toNewest'), { class: 'to-newest', hidden: true, onclick: () => this.toBottom() });
    this.status = h('p', { class: 'typing', 'aria-live': 'polite' });
    this.presence = h('p', { class: 'presence' });
    this.title = h('h2', { dir: 'auto' });
    this.face = h('span', { class: 'face' });
    this.headButton = h('button', { type: 'button', class: 'thread-title', title: t('details'), onclick: details }, this.face, h('span', { class: 'names' }, this.title, this.presence));
    this.element = h('section', { class: 'thread', 'aria-labelledby': 'thread-name' },
      h('header', { class: 'bar' }, iconButton('back', t('back'), { class: 'back', onclick: back }), this.headButton, iconButton('info', t('details'), { onclick: details })),
      h('div', { class: 'log-wrap' }, this.log, this.downButton),
      this.status,
      this.composer());
    this.title.id = 'thread-name';
    this.restoreDraft();
    this.observer = new ResizeObserver(() => { if (this.isAtBottom) this.log.scrollTop = this.log.scrollHeight; });
    this.observer.observe(this.log);
    this.render();
  }

  close() {
    this.observer.disconnect();
    this.keepDraft();
  }

  get conversation() { return this.chat.conversations.get(this.conv); }

  // MARK: Drawing

  render() {
    const { chat, conversation } = this;
    if (!conversation) return;
    const name = chat.titleOf(conversation);
    const other = chat.other(conversation);
    this.title.textContent = name;
    this.log.setAttribute('aria-label', t('messages', { name }));
    this.input.setAttribute('aria-label', t('writeTo', { name }));
    this.input.placeholder = t('write');
    this.face.replaceChildren(face(chat, conversation));
    this.presence.textContent = other ? presenceText(chat, other.user) : t('members', conversation.members.length);
    this.blockNote.hidden = !(other && chat.blocked.has(other.user));
    const typing = [...(chat.typing.get(this.conv)?.keys() ?? [])].map((user) => chat.nameOf(user)).filter(Boolean);
    const text = typing.length === 0 ? '' : typing.length === 1 ? t('typingOne', { name: typing[0] }) : t('typingMany');
    if (this.status.textContent !== text) this.status.textContent = text;
    this.renderRows(conversation);
  }

  /** What there is to see from top to bottom, each with a key that stays and a signature that changes with its look. */
  *list(conversation) {
    const { chat } = this;
    if (!conversation.messages) { yield { key: 'loading', sign: language, make: () => h('p', { class: 'note' }, t('loading')) }; return; }
    const pending = chat.outbox.of(this.conv);
    if (conversation.olderFailed) {
      yield { key: 'top', sign: 'failed', make: () => h('p', { class: 'note' }, t('olderFailed'), ' ', button(t('retry'), { class: 'link', onclick: () => chat.loadOlder(this.conv) })) };
    } else if (conversation.hasMore) {
      yield { key: 'top', sign: `${conversation.loading}`, make: () => h('p', { class: 'note' }, conversation.loading ? t('olderLoading') : '') };
    } else {
      const isEmpty = conversation.messages.length + pending.length === 0;
      yield { key: 'top', sign: `start ${isEmpty}`, make: () => h('p', { class: 'note' }, isEmpty ? t('noMessages') : t('beginning')) };
    }
    let before = null;
    let divided = false;
    for (const message of conversation.messages) {
      const date = new Date(message.ts);
      if (!before || !sameDay(new Date(before.ts), date)) {
        yield { key: `day ${date.toDateString()}`, sign: dayName(date), make: () => h('p', { class: 'day' }, h('span', {}, dayName(date))) };
        before = null;
      }
      if (!divided && conversation.unreadFrom !== null && conversation.unreadFrom !== undefined && message.order > conversation.unreadFrom && message.from !== chat.me.id) {
        divided = true;
        before = null;
        yield { key: 'unread', sign: language, make: () => h('p', { class: 'divider' }, h('span', {}, t('newMessages'))) };
      }
      const follows = before?.from === message.from && date - new Date(before.ts) < togetherMilliseconds;
      before = message;
      const readers = message.from === chat.me.id ? chat.readers(conversation, message.order) : 0;
      const quoted = message.replyTo ? chat.find(this.conv, message.replyTo) : null;
      yield {
        key: message.cid && message.from === chat.me.id ? `m ${message.cid}` : `m ${message.mid}`,
        sign: JSON.stringify([message, follows, readers, quoted?.text, quoted?.recalled, chat.nameOf(message.from)]),
        make: () => this.message(message, { follows, readers, quoted }),
      };
    }
    for (const item of pending) {
      const follows = before?.from === chat.me.id;
      before = { from: chat.me.id };
      const quoted = item.replyTo ? chat.find(this.conv, item.replyTo) : null;
      yield {
        key: `m ${item.cid}`, sign: JSON.stringify([item.state, item.error, follows]),
        make: () => this.message({ ...item.body, from: chat.me.id, ts: item.created, replyTo: item.replyTo }, { follows, readers: 0, quoted, item }),
      };
    }
  }

  renderRows(conversation) {
    const wanted = [...this.list(conversation)];
    const { log } = this;
    const anchor = this.isAtBottom ? null : this.firstVisible();
    const anchorKey = anchor?.dataset.key;
    const anchorTop = anchor?.getBoundingClientRect().top;
    const focused = document.activeElement?.closest?.('.log .msg')?.dataset.key;
    const rows = new Map();
    let place = log.firstChild;
    for (const { key, sign, make } of wanted) {
      const kept = this.rows.get(key);
      let element = kept?.element;
      if (!kept || kept.sign !== sign) {
        element = make();
        element.dataset.key = key;
        if (kept) {
          if (place === kept.element) place = element;
          kept.element.replaceWith(element);
        }
      }
      rows.set(key, { element, sign });
      if (element === place) place = place.nextSibling;
      else log.insertBefore(element, place);
    }
    while (place) { const next = place.nextSibling; place.remove(); place = next; }
    this.rows = rows;
    if (focused && rows.has(focused) && !log.contains(document.activeElement)) this.focusRow(rows.get(focused).element);
    if (this.isFirst && conversation.messages) this.firstScroll();
    else if (this.isAtBottom) log.scrollTop = log.scrollHeight;
    else if (rows.has(anchorKey)) log.scrollTop += rows.get(anchorKey).element.getBoundingClientRect().top - anchorTop;
    this.afterScroll();
  }

  firstScroll() {
    this.isFirst = false;
    const divider = this.rows.get('unread')?.element;
    if (divider) this.scrollTo(divider, 8);
    else this.log.scrollTop = this.log.scrollHeight;
    this.isAtBottom = this.distance() < nearBottom;
  }

  firstVisible() {
    const top = this.log.getBoundingClientRect().top;
    for (const element of this.log.children) {
      if (element.matches('.msg') && element.getBoundingClientRect().bottom > top) return element;
    }
    return null;
  }

  /** Only the list may scroll, never the page around it, so no `scrollIntoView`. */
  scrollTo(element, above) { this.log.scrollTop += element.getBoundingClientRect().top - this.log.getBoundingClientRect().top - above; }

  distance() { return this.log.scrollHeight - this.log.clientHeight - this.log.scrollTop; }

  scrolled() {
    this.isAtBottom = this.distance() < nearBottom;
    this.afterScroll();
  }

  afterScroll() {
    const { conversation } = this;
    this.downButton.hidden = this.isAtBottom;
    if (!conversation?.messages || this.isFirst) return;
    if (this.log.scrollTop < 300 && conversation.hasMore && !conversation.loading && !conversation.olderFailed && this.chat.link.isLive) this.chat.loadOlder(this.conv);
    if (this.isAtBottom && document.visibilityState === 'visible') this.chat.markRead(this.conv);
  }

  toBottom() {
    this.isAtBottom = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.afterScroll();
    this.input.focus();
  }

  // MARK: One message

  message(message, { follows, readers, quoted, item }) {
    const { chat } = this;
    const isMine = message.from === chat.me.id;
    const name = isMine ? t('you') : chat.nameOf(message.from) ?? t('formerMember');
    const date = new Date(message.ts);
    const isBare = message.kind === 'emoji' && !message.recalled && !message.replyTo;
    const actions = iconButton('more', t('actions'), {
      class: 'actions', 'aria-haspopup': 'menu', 'aria-expanded': 'false', tabindex: -1,
      onclick: () => this.actions(actions, message, item),
    });
    return h('article', { class: `msg ${isMine ? 'mine' : ''} ${follows ? 'follows' : ''}`, tabindex: -1, onfocus: (event) => this.focused(event.currentTarget) },
      isMine ? null : avatar(message.from, name),
      h('div', { class: 'column' },
        h('p', { class: isMine || follows || this.conversation.type === 'direct' ? 'sr' : 'sender', dir: 'auto' }, name, hidden(': ')),
        h('div', { class: 'bubble-row' },
          h('div', { class: `bubble ${isBare ? 'bare' : ''} ${message.recalled ? 'recalled' : ''}` },
            message.replyTo && !message.recalled ? this.quote(message.replyTo, quoted) : null,
            content(message),
            h('p', { class: 'meta' },
              message.edited ? h('span', {}, t('edited')) : null,
              h('time', { datetime: date.toISOString(), title: fullTime(date) }, clockTime(date)),
              isMine ? status(message, item, readers, this.conversation.type) : null)),
          actions),
        item?.state === 'failed' ? h('p', { class: 'failure', role: 'alert' }, h('span', {}, errorText(item.error)), ' ',
          button(t('retry'), { class: 'link', onclick: () => chat.outbox.retry(item.cid) }),
          button(t('discard'), { class: 'link', onclick: () => { chat.outbox.remove(item.cid); this.input.focus(); } })) : null,
        message.reactions?.length && !message.recalled ? this.reactions(message) : null));
  }

  quote(mid, quoted) {
    const name = quoted ? (quoted.from === this.chat.me.id ? t('you') : this.chat.nameOf(quoted.from) ?? t('formerMember')) : null;
    return h('button', { type: 'button', class: 'quote', tabindex: -1, onclick: () => this.jump(mid) },
      name ? h('b', { dir: 'auto' }, name) : null, h('span', { dir: 'auto' }, quoted ? preview(quoted) : t('original')));
  }

  /** Goes to a message, loading older pages on the way, but not without end. */
  async jump(mid) {
    for (let page = 0; page < 20; page += 1) {
      const message = this.conversation?.messages?.find((one) => one.mid === mid);
      if (message) {
        const key = message.cid && message.from === this.chat.me.id ? `m ${message.cid}` : `m ${mid}`;
        this.isAtBottom = false;
        this.render();
        const element = this.rows.get(key)?.element;
        if (element) { this.scrollTo(element, this.log.clientHeight / 3); this.focusRow(element); }
        return;
      }
      if (!this.conversation?.hasMore || this.conversation.olderFailed) return;
      await this.chat.loadOlder(this.conv);
    }
  }

  reactions(message) {
    const { chat } = this;
    return h('p', { class: 'reactions' }, message.reactions.map(({ emoji, users }) => {
      const isMine = users.includes(chat.me.id);
      const names = users.map((user) => (user === chat.me.id ? t('you') : chat.nameOf(user) ?? t('formerMember'))).join(language === 'en' ? ', ' : '、');
      return h('button', {
        type: 'button', class: 'reaction', tabindex: -1, 'aria-pressed': String(isMine), title: t('reactedBy', { emoji, names }), 'aria-label': t('reactedBy', { emoji, names }),
        onclick: () => this.react(message, emoji, !isMine),
      }, emoji, h('span', {}, String(users.length)));
    }));
  }

  async react(message, emoji, on) {
    try {
      const { order } = await this.chat.request('react', { mid: message.mid, emoji, on });
      this.chat.changed({ kind: 'react', conv: this.conv, mid: message.mid, by: this.chat.me.id, emoji, on, order });
    } catch (error) { toast(errorText(error), 'error'); }
  }

  actions(anchor, message, item) {
    const { chat, conversation } = this;
    const items = [];
    const isMine = message.from === chat.me.id;
    const isLive = message.mid && !message.recalled;
    if (isLive) items.push({ icon: 'reply', label: t('reply'), run: () => this.reply(message) });
    if (isLive && isMine && message.kind === 'text') items.push({ icon: 'pencil', label: t('edit'), run: () => this.edit(message) });
    if (!message.recalled && message.text) items.push({ icon: 'copy', label: t('copyText'), run: () => copyText(message.text).then(() => toast(t('copied')), () => toast(t('copyFailed'), 'error')) });
    if (isLive && (isMine || (conversation.type === 'group' && conversation.role !== 'member'))) items.push({ icon: 'close', label: t('recall'), danger: true, run: () => this.recall(message) });
    if (item?.state === 'failed') items.push({ icon: 'send', label: t('retry'), run: () => chat.outbox.retry(item.cid) }, { icon: 'close', label: t('discard'), danger: true, run: () => chat.outbox.remove(item.cid) });
    if (!items.length) return;
    const mine = (message.reactions ?? []).filter(({ users }) => users.includes(chat.me.id)).map(({ emoji }) => emoji);
    let box;
    const header = isLive ? quickReactions(anchor, mine, (emoji) => this.react(message, emoji, !mine.includes(emoji)), () => box.dismiss()) : null;
    box = menu(anchor, items, header);
  }

  async recall(message) {
    if (!(await confirmDialog(t('recallTitle'), t('recallText'), t('recall'), t('cancel')))) return;
    try {
      const { order, ts } = await this.chat.request('recall', { mid: message.mid });
      this.chat.changed({ kind: 'recall', conv: this.conv, mid: message.mid, by: this.chat.me.id, order, ts });
    } catch (error) { toast(errorText(error), 'error'); }
  }

  // MARK: The keyboard in the list

  focused(element) {
    for (const other of this.log.querySelectorAll('.msg[data-active]')) this.activate(other, false);
    this.activate(element, true);
  }

  /** The controls of one message at a time are in the tab order. */
  activate(element, isActive) {
    if (isActive) element.dataset.active = '';
    else delete element.dataset.active;
    for (const control of element.querySelectorAll('button, a')) control.tabIndex = isActive || control.closest('.failure') ? 0 : -1;
  }

  focusRow(element) {
    element.focus({ preventScroll: true });
    const [row, list] = [element.getBoundingClientRect(), this.log.getBoundingClientRect()];
    if (row.top < list.top) this.log.scrollTop -= list.top - row.top + 8;
    else if (row.bottom > list.bottom) this.log.scrollTop += row.bottom - list.bottom + 8;
  }

  keys(event) {
    if (event.target.closest('input, textarea')) return;
    const all = [...this.log.querySelectorAll('.msg')];
    const current = document.activeElement.closest('.msg');
    const at = all.indexOf(current);
    const go = (index) => {
      event.preventDefault();
      const element = all[Math.max(0, Math.min(all.length - 1, index))];
      if (!element) return;
      this.isAtBottom = index >= all.length - 1;
      this.focusRow(element);
    };
    if (event.key === 'ArrowUp') go(at < 0 ? all.length - 1 : at - 1);
    else if (event.key === 'ArrowDown') { if (at === all.length - 1) { event.preventDefault(); this.toBottom(); } else go(at < 0 ? all.length - 1 : at + 1); }
    else if (event.key === 'Home') go(0);
    else if (event.key === 'End') { event.preventDefault(); this.toBottom(); }
    else if (event.key === 'Escape') { event.preventDefault(); this.input.focus(); }
    else if ((event.key === 'Enter' || event.key === ' ') && document.activeElement === current) { event.preventDefault(); current.querySelector('.actions')?.click(); }
  }

  // MARK: Writing

  composer() {
    this.input = h('textarea', {
      rows: 1, id: 'composer', dir: 'auto', enterkeyhint: 'send', 'aria-describedby': 'composer-note',
      oninput: () => this.typed(), onkeydown: (event) => this.inputKeys(event),
    });
    this.note = h('span', { class: 'counter', id: 'composer-note', role: 'status' });
    this.sendButton = iconButton('send', t('sendIt'), { class: 'send', onclick: () => this.submit() });
    this.context = h('div', { class: 'context', hidden: true });
    this.blockNote = h('p', { class: 'note blocked', hidden: true }, t('blockedNote'));
    const emoji = iconButton('smile', t('emoji'), { 'aria-haspopup': 'dialog', 'aria-expanded': 'false', onclick: () => pickEmoji(emoji, (one) => this.insert(one)) });
    const place = iconButton('pin', t('shareLocation'), {
      class: 'place', onclick: () => locationDialog((body) => { this.chat.outbox.add(this.conv, { kind: 'location', ...body }); this.toBottom(); }),
    });
    return h('form', { class: 'composer', onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      this.blockNote, this.context,
      h('div', { class: 'composer-row' }, place, h('div', { class: 'input-wrap' }, this.input, emoji), this.sendButton), this.note);
  }

  insert(text) {
    const { input } = this;
    input.focus();
    input.setRangeText(text, input.selectionStart, input.selectionEnd, 'end');
    this.typed();
  }

  typed() {
    this.grow();
    const over = encoder.encode(this.input.value).length - textBytes;
    this.note.textContent = over > 0 ? t('tooLong', { n: over }) : '';
    set(this.input, { 'aria-invalid': over > 0 ? 'true' : null });
    this.sendButton.disabled = over > 0;
    this.keepDraft();
    if (this.input.value.trim() && !this.editing) this.chat.sayTyping(this.conv);
  }

  grow() {
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, 180)}px`;
  }

  inputKeys(event) {
    // Enter that ends a Chinese composition is not a wish to send.
    if (event.isComposing || event.keyCode === 229) return;
    const isTouch = matchMedia('(pointer: coarse)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey && (!isTouch || event.ctrlKey || event.metaKey)) { event.preventDefault(); this.submit(); }
    else if (event.key === 'Escape' && (this.editing || this.replying)) { event.preventDefault(); this.endContext(); }
    else if (event.key === 'ArrowUp' && this.input.value === '' && !this.editing) {
      const own = [...(this.conversation?.messages ?? [])].reverse().find((message) => message.from === this.chat.me.id && message.kind === 'text' && !message.recalled);
      if (own) { event.preventDefault(); this.edit(own); }
    }
  }

  reply(message) {
    this.endContext();
    this.replying = message;
    this.showContext(t('replyingTo', { name: message.from === this.chat.me.id ? t('you') : this.chat.nameOf(message.from) ?? t('formerMember') }), preview(message), t('cancelReply'));
  }

  edit(message) {
    this.endContext();
    this.kept = this.input.value;
    this.editing = message;
    this.input.value = message.text;
    this.showContext(t('editing'), message.text, t('cancelEdit'));
    this.typed();
  }

  showContext(title, text, cancel) {
    this.context.replaceChildren(h('div', {}, h('b', { dir: 'auto' }, title), h('span', { dir: 'auto' }, text)), iconButton('close', cancel, { onclick: () => this.endContext() }));
    this.context.hidden = false;
    this.input.focus();
    if (this.isAtBottom) this.log.scrollTop = this.log.scrollHeight;
  }

  endContext() {
    if (this.editing) this.input.value = this.kept ?? '';
    this.editing = this.replying = null;
    this.context.hidden = true;
    this.typed();
    this.input.focus();
  }

  async submit() {
    const text = this.input.value.trim();
    if (!text || this.sendButton.disabled) return;
    if (this.editing) { await this.submitEdit(text); return; }
    this.chat.outbox.add(this.conv, { kind: isEmoji(text) ? 'emoji' : 'text', text }, this.replying?.mid);
    this.input.value = '';
    this.endContext();
    this.keepDraft();
    this.isAtBottom = true;
    this.chat.saidTyping = -Infinity;
    this.render();
  }

  async submitEdit(text) {
    const message = this.editing;
    if (text === message.text) { this.endContext(); return; }
    this.sendButton.disabled = true;
    try {
      const { order, ts } = await this.chat.request('edit', { mid: message.mid, text });
      this.chat.changed({ kind: 'edit', conv: this.conv, mid: message.mid, by: this.chat.me.id, order, ts, text });
      this.endContext();
    } catch (error) {
      toast(errorText(error), 'error');
      this.sendButton.disabled = false;
    }
  }

  // MARK: Drafts

  get draftKey() { return `skerry.draft.${this.chat.me.id}.${this.conv}`; }
  keepDraft() { if (!this.editing) save(this.draftKey, this.input.value.trim() ? this.input.value : null); }
  restoreDraft() {
    this.input.value = load(this.draftKey) ?? '';
    requestAnimationFrame(() => { if (this.input.isConnected) this.grow(); });
  }
}

// MARK: - How things look

export function face(chat, conversation) {
  const other = chat.other(conversation);
  const name = chat.titleOf(conversation);
  if (!other) return h('span', { class: 'with-dot' }, avatar(conversation.id, name, 'group'));
  const isOnline = chat.isOnline(other.user);
  return h('span', { class: 'with-dot' }, avatar(other.user, name), h('span', { class: isOnline ? 'dot on' : 'dot' }), hidden(isOnline ? t('online') : t('offline')));
}

export function presenceText(chat, user) {
  if (chat.isOnline(user)) return t('online');
  const seen = chat.presence.get(user)?.lastSeen;
  return seen ? t('lastSeen', { time: ago(new Date(seen)) }) : t('offline');
}

/** One line about a message, for the list, quotes and announcements. */
export function preview(message) {
  if (message.recalled) return t('recalled');
  switch (message.kind) {
    case 'text': case 'emoji': return message.text ?? '';
    case 'location': return message.label ? `${t('location')}: ${message.label}` : t('location');
    case 'picture': case 'voice': case 'video': case 'file': return message.media?.name ? `${t(message.kind)}: ${message.media.name}` : t(message.kind);
    default: return `${t('custom')}${message.type ? ` (${message.type})` : ''}`;
  }
}

function status(message, item, readers, type) {
  const show = (name, label, className = '') => h('span', { class: `status ${className}`, title: label }, icon(name), hidden(label));
  if (item?.state === 'failed') return show('alert', t('failed'), 'failed');
  if (item) return show('clock', t(item.state === 'sending' ? 'sending' : 'waiting'), 'pending');
  const tick = message.replicated ? show('checks', t('replicated'), 'replicated') : show('check', t('stored'), 'stored');
  if (!readers || message.recalled) return tick;
  return [h('span', { class: 'read' }, type === 'direct' ? t('read') : t('readBy', readers)), tick];
}

function content(message) {
  if (message.recalled) return h('p', { class: 'text' }, t('recalled'));
  switch (message.kind) {
    case 'text': return h('p', { class: 'text', dir: 'auto' }, linked(message.text ?? ''));
    case 'emoji': return h('p', { class: 'text large' }, message.text ?? '');
    case 'location': return place(message);
    case 'picture': case 'voice': case 'video': case 'file':
      return h('div', { class: 'attachment' }, icon('file'), h('div', {}, h('b', { dir: 'auto' }, message.media?.name ?? t(message.kind)), h('span', {}, t('notShown')), message.text ? h('p', { class: 'text', dir: 'auto' }, linked(message.text)) : null));
    default:
      return h('div', { class: 'attachment' }, icon('code'), h('div', {}, h('b', {}, message.kind === 'custom' ? message.type ?? t('custom') : message.kind), h('span', {}, t('custom')), message.data ? h('pre', { dir: 'auto' }, message.data.slice(0, 2000)) : null));
  }
}

function place({ lat, lon, label, accuracy }) {
  const text = `${Number(lat).toFixed(5)}, ${Number(lon).toFixed(5)}`;
  return h('div', { class: 'attachment' }, icon('pin'), h('div', {},
    h('b', { dir: 'auto' }, label || t('location')),
    h('span', {}, text, accuracy ? ` ${t('accuracy', { n: Math.round(accuracy) })}` : ''),
    button(t('copyPosition'), { class: 'link', tabindex: -1, onclick: () => copyText(text).then(() => toast(t('copied')), () => toast(t('copyFailed'), 'error')) })));
}

/** A text with its http and https addresses as links; everything else stays text. */
function linked(text) {
  const parts = [];
  let last = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"'，。！？；：、）】」》]+/giu)) {
    const address = match[0].replace(/[.,!?;:)\]}]+$/, '');
    let url;
    try { url = new URL(address); } catch { continue; }
    if (url.protocol !== 'http:' && url.protocol !== 'https:') continue;
    parts.push(text.slice(last, match.index), h('a', { href: url.href, target: '_blank', rel: 'noopener noreferrer nofollow', tabindex: -1 }, address));
    last = match.index + address.length;
  }
  parts.push(text.slice(last));
  return parts;
}
