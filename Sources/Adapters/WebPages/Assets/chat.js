// What this client knows: conversations, messages, people, and how pushes change them. Nothing here touches the page.

import { Link } from './link.js';
import { Outbox } from './outbox.js';

const windowMessages = 2000;  // of an open conversation
const keptMessages = 100;     // of one that was left
const seenMids = 5000;
const earlyTicks = 1000; // of messages whose acknowledgement is still on its way
const typingMilliseconds = 5000;

export class Chat {
  constructor(session, on) {
    this.me = { id: session.user, name: session.name, role: session.role };
    this.on = on; // list(), thread(conv), state(name, detail), gone(conversation), arrived(message), notice(d)
    this.conversations = new Map();
    this.people = new Map([[session.user, { name: session.name, display: session.display ?? '' }]]);
    this.presence = new Map();
    this.typing = new Map();
    this.blocked = new Set();
    this.seen = new Set();
    this.reactionOrders = new Map();
    this.receipts = new Map();
    this.replicated = new Set();
    this.isLoaded = false;
    this.open = null;
    this.link = new Link(session.token, {
      state: (name, detail) => on.state(name, detail),
      hello: (hello) => { Object.assign(this.me, { role: hello.role ?? this.me.role, name: hello.name ?? this.me.name }); this.box = hello.box; },
      push: (t, d) => this.push(t, d),
      reload: () => this.reload(),
      live: () => this.live(),
      boxes: () => this.updateTicks(this.open),
    });
    this.outbox = new Outbox(session.user, this.link, {
      changed: (conv) => { on.thread(conv); on.list(); },
      stored: (item, answer) => this.stored(item, answer),
    });
  }

  request(t, d) { return this.link.request(t, d); }

  // MARK: Loading

  async reload() {
    const found = [];
    let after;
    do {
      const page = await this.request('conversations', after ? { after } : {});
      found.push(...page.items);
      after = page.next;
    } while (after);
    const before = this.conversations;
    this.conversations = new Map();
    this.reactionOrders.clear();
    for (const conversation of found) this.keepConversation(conversation);
    this.isLoaded = true;
    if (this.open && before.has(this.open) && !this.conversations.has(this.open)) this.on.gone(before.get(this.open));
    this.on.list();
    if (this.open && this.conversations.has(this.open)) await this.loadNewest(this.open);
  }

  live() {
    this.outbox.reconnected();
    for (const conv of this.receipts.keys()) this.sendReceipt(conv);
    this.request('presence', {}).then(({ items }) => {
      this.presence.clear();
      for (const item of items) this.presence.set(item.user, item);
      this.on.list();
      if (this.open) this.on.thread(this.open);
    }).catch(() => {});
    this.request('blocks', {}).then(({ items }) => {
      this.blocked = new Set(items);
      if (this.open) this.on.thread(this.open);
    }).catch(() => {});
    // While nobody listened, other boxes may have taken what only this one had.
    for (const conversation of this.conversations.values()) conversation.ticksAreOld = true;
    if (this.link.hasSisters) this.updateTicks(this.open);
    if (this.open) this.on.thread(this.open);
  }

  /** Takes a conversation as the box describes it; the messages already loaded stay. */
  keepConversation(view) {
    const known = this.conversations.get(view.id);
    const conversation = Object.assign(known ?? { messages: null, hasMore: true }, view);
    for (const member of view.members) this.people.set(member.user, { name: member.name, display: member.display });
    if (!known) { this.conversations.set(view.id, conversation); this.askPresence(view); }
    if (view.last) {
      const loaded = conversation.messages?.find((message) => message.mid === view.last.mid);
      if (loaded) conversation.last = loaded;
    }
    return conversation;
  }

  /** People one did not share a conversation with before: the box told nothing about them yet. */
  askPresence({ members }) {
    if (!this.link.isLive) return;
    const users = members.map(({ user }) => user).filter((user) => user !== this.me.id && !this.presence.has(user)).slice(0, 200);
    if (!users.length) return;
    this.request('presence', { users }).then(({ items }) => {
      for (const item of items) this.presence.set(item.user, item);
      this.on.list();
      if (this.open) this.on.thread(this.open);
    }).catch(() => {});
  }

  async refresh(conv) {
    try {
      this.keepConversation((await this.request('conversation', { conv })).conversation);
      this.on.list();
      this.on.thread(conv);
    } catch { /* gone or offline; both come back by other ways */ }
  }

  async loadNewest(conv) {
    const conversation = this.conversations.get(conv);
    if (!conversation || conversation.loading) return;
    conversation.loading = true;
    try {
      const page = await this.request('history', { conv });
      conversation.messages = [];
      conversation.hasMore = page.more;
      for (const message of page.items) this.insert(conversation, message);
    } finally {
      conversation.loading = false;
      this.on.thread(conv);
    }
  }

  async loadOlder(conv) {
    const conversation = this.conversations.get(conv);
    if (!conversation?.messages?.length || !conversation.hasMore || conversation.loading) return;
    conversation.loading = true;
    conversation.olderFailed = false;
    this.on.thread(conv);
    try {
      const page = await this.request('history', { conv, before: conversation.messages[0].order });
      conversation.hasMore = page.more;
      for (const message of page.items) this.insert(conversation, message);
    } catch {
      conversation.olderFailed = true;
    } finally {
      conversation.loading = false;
      this.on.thread(conv);
    }
  }

  async openConversation(conv) {
    this.closeConversation();
    this.open = conv;
    const conversation = this.conversations.get(conv);
    if (!conversation) return;
    conversation.unreadFrom = conversation.unread > 0 ? this.myRead(conversation) ?? '' : null;
    if (!conversation.messages) await this.loadNewest(conv);
    else this.updateTicks(conv);
  }

  closeConversation() {
    const conversation = this.conversations.get(this.open);
    this.open = null;
    if (conversation?.messages?.length > keptMessages) {
      conversation.messages = conversation.messages.slice(-keptMessages);
      conversation.hasMore = true;
    }
  }

  // MARK: Messages

  /** Puts a message where its order says; false when it is there already. */
  insert(conversation, message) {
    const messages = conversation.messages;
    if (this.replicated.delete(message.mid)) message.replicated = true;
    if (!messages) return false;
    const known = messages.findIndex((other) => other.mid === message.mid);
    if (known >= 0) {
      if (message.replicated) messages[known].replicated = true;
      if (message.order >= messages[known].order) return false;
      // Two boxes took the same message; the earlier place of the two is the one that counts everywhere.
      [message] = [Object.assign(messages.splice(known, 1)[0], { order: message.order, ts: message.ts })];
    }
    let at = messages.length;
    while (at > 0 && messages[at - 1].order > message.order) at -= 1;
    // Below the loaded window: paging brings it.
    if (at === 0 && messages.length > 0 && conversation.hasMore && !conversation.loading) return false;
    messages.splice(at, 0, message);
    if (messages.length > windowMessages) { messages.splice(0, messages.length - windowMessages); conversation.hasMore = true; }
    return true;
  }

  find(conv, mid) {
    const conversation = this.conversations.get(conv);
    return conversation?.messages?.find((message) => message.mid === mid) ?? (conversation?.last?.mid === mid ? conversation.last : undefined);
  }

  stored(item, answer) {
    this.received({ conv: answer.conv, mid: answer.mid, order: answer.order, ts: answer.ts, from: this.me.id, cid: item.cid, ...item.body,
      ...(item.replyTo ? { replyTo: item.replyTo } : {}) });
  }

  received(message) {
    if (message.cid && message.from === this.me.id) this.outbox.remove(message.cid);
    const conversation = this.conversations.get(message.conv);
    if (!conversation) { this.remember(message.mid); this.refresh(message.conv); return; }
    const isNew = this.remember(message.mid);
    const wasCounted = Boolean(conversation.last) && message.order <= conversation.last.order;
    this.insert(conversation, message);
    if (isNew) {
      this.typing.get(message.conv)?.delete(message.from);
      if (!wasCounted) {
        conversation.last = message;
        if (message.order > conversation.order) conversation.order = message.order;
        if (message.from !== this.me.id) conversation.unread = Math.min(999, conversation.unread + 1);
        this.on.arrived(message);
        if (message.from !== this.me.id) this.receipt(message.conv, { recv: message.order });
      } else if (conversation.last.mid !== message.mid && message.from !== this.me.id) {
        this.refresh(message.conv); // came late and sorts earlier: only the box can say whether it counts as unread
      }
    }
    this.on.thread(message.conv);
    this.on.list();
  }

  remember(mid) {
    if (this.seen.has(mid)) return false;
    this.seen.add(mid);
    if (this.seen.size > seenMids) this.seen.delete(this.seen.values().next().value);
    return true;
  }

  // MARK: Pushes

  push(t, d) {
    switch (t) {
      case 'msg': this.received(d); break;
      case 'change': this.changed(d); break;
      case 'receipt': this.receiptOf(d); break;
      case 'replicated': this.replicatedOf(d); break;
      case 'typing': this.typingOf(d); break;
      case 'presence': this.presence.set(d.user, d); this.on.list(); if (this.open) this.on.thread(this.open); break;
      case 'notice': this.on.notice(d); break;
      default: break; // pushes of a newer box
    }
  }

  /** Other boxes hold these messages too. */
  replicatedOf({ conv, mids }) {
    for (const mid of Array.isArray(mids) ? mids : []) {
      const message = this.find(conv, mid);
      if (message) message.replicated = true;
      else if (this.replicated.size < earlyTicks) this.replicated.add(mid);
    }
    this.on.thread(conv);
  }

  /** Asks for the newest page again when a tick may have been missed: nobody repeats it. */
  async updateTicks(conv) {
    const conversation = this.conversations.get(conv);
    if (!this.link.hasSisters || !this.link.isLive || !conversation?.ticksAreOld || !conversation.messages) return;
    conversation.ticksAreOld = false;
    if (!conversation.messages.some((message) => message.from === this.me.id && !message.replicated)) return;
    try {
      for (const message of (await this.request('history', { conv })).items) this.insert(conversation, message);
    } catch { conversation.ticksAreOld = true; }
    this.on.thread(conv);
  }

  changed(d) {
    if (d.kind === 'conversation') {
      this.keepConversation(d.conversation);
      this.on.list();
      this.on.thread(d.conversation.id);
      return;
    }
    if (d.kind === 'left') {
      const conversation = this.conversations.get(d.conv);
      this.conversations.delete(d.conv);
      if (conversation) this.on.gone(conversation);
      this.on.list();
      return;
    }
    const conversation = this.conversations.get(d.conv);
    if (conversation && d.order > conversation.order) conversation.order = d.order;
    const message = this.find(d.conv, d.mid);
    if (!message) return;
    if (d.kind === 'recall') {
      message.recalled = true;
      for (const name of ['text', 'lat', 'lon', 'label', 'accuracy', 'type', 'data', 'media', 'replyTo', 'edited']) delete message[name];
    } else if (d.kind === 'edit' && !message.recalled && !(message.edited?.order >= d.order)) {
      message.text = d.text;
      message.edited = { order: d.order, ts: d.ts };
    } else if (d.kind === 'react') {
      this.reacted(message, d);
    }
    this.on.thread(d.conv);
    this.on.list();
  }

  reacted(message, { by, emoji, on, order }) {
    // Catching up may repeat an older change after a newer one was seen live.
    const key = `${message.mid} ${by} ${emoji}`;
    if (this.reactionOrders.get(key) >= order) return;
    this.reactionOrders.set(key, order);
    const reactions = message.reactions ?? [];
    const entry = reactions.find((reaction) => reaction.emoji === emoji);
    const users = (entry?.users ?? []).filter((user) => user !== by);
    if (on) users.push(by);
    message.reactions = entry ? reactions.map((reaction) => (reaction === entry ? { emoji, users } : reaction)) : [...reactions, { emoji, users }];
    message.reactions = message.reactions.filter((reaction) => reaction.users.length > 0);
  }

  typingOf({ conv, user }) {
    if (user === this.me.id) return;
    const people = this.typing.get(conv) ?? new Map();
    this.typing.set(conv, people);
    clearTimeout(people.get(user));
    people.set(user, setTimeout(() => { people.delete(user); this.on.thread(conv); }, typingMilliseconds));
    this.on.thread(conv);
  }

  // MARK: Receipts

  myRead(conversation) { return conversation.members.find((member) => member.user === this.me.id)?.read; }

  receiptOf({ conv, user, recv, read }) {
    const conversation = this.conversations.get(conv);
    const member = conversation?.members.find((one) => one.user === user);
    if (!member) return;
    if (recv && !(member.recv >= recv)) member.recv = recv;
    if (read && !(member.read >= read)) {
      member.read = read;
      if (user === this.me.id) this.recount(conversation, read);
    }
    this.on.thread(conv);
    this.on.list();
  }

  /** Another of my devices read up to here. */
  recount(conversation, read) {
    if (!conversation.last || read >= conversation.last.order) conversation.unread = 0;
    else if (conversation.messages?.[0]?.order <= read) {
      conversation.unread = conversation.messages.filter((message) => message.order > read && message.from !== this.me.id).length;
    } else this.refresh(conversation.id);
  }

  /** Everything that is loaded was seen by the person. */
  markRead(conv) {
    const conversation = this.conversations.get(conv);
    const last = conversation?.messages?.[conversation.messages.length - 1];
    if (!last) return;
    const before = this.myRead(conversation);
    if (conversation.unread === 0 && before >= last.order) return;
    if (before >= last.order && conversation.unread > 0) { conversation.unread = 0; this.on.list(); return; }
    const isNews = conversation.unread > 0 || last.from !== this.me.id;
    const mine = conversation.members.find((member) => member.user === this.me.id);
    if (mine) mine.read = last.order;
    conversation.unread = 0;
    this.on.list();
    if (isNews) this.receipt(conv, { read: last.order, recv: last.order });
  }

  /** Collects receipts for a moment, so that a burst of messages costs one. */
  receipt(conv, orders) {
    const waiting = this.receipts.get(conv) ?? {};
    for (const [name, order] of Object.entries(orders)) if (!(waiting[name] >= order)) waiting[name] = order;
    this.receipts.set(conv, waiting);
    if (!waiting.timer) waiting.timer = setTimeout(() => this.sendReceipt(conv), orders.read ? 200 : 1000);
    else if (orders.read) { clearTimeout(waiting.timer); waiting.timer = setTimeout(() => this.sendReceipt(conv), 200); }
  }

  sendReceipt(conv) {
    const waiting = this.receipts.get(conv);
    if (!waiting || !this.link.isLive) return; // kept, and sent when the connection is back
    clearTimeout(waiting.timer);
    this.receipts.delete(conv);
    const { recv, read } = waiting;
    this.request('receipt', { conv, ...(recv ? { recv } : {}), ...(read ? { read } : {}) }).catch((error) => {
      if (error.code === 'offline') this.receipts.set(conv, { recv, read, ...this.receipts.get(conv) });
    });
  }

  sayTyping(conv) {
    const now = performance.now();
    if (!this.link.isLive || now - (this.saidTyping ?? -Infinity) < 3000) return;
    this.saidTyping = now;
    this.request('typing', { conv }).catch(() => {});
  }

  // MARK: Looking things up

  sorted() { return [...this.conversations.values()].sort((a, b) => (a.order < b.order ? 1 : a.order > b.order ? -1 : 0)); }
  get unreadTotal() { return [...this.conversations.values()].reduce((sum, { unread }) => sum + unread, 0); }
  nameOf(user) {
    const person = this.people.get(user);
    return person ? person.display || person.name : null;
  }
  other(conversation) {
    return conversation.type === 'direct' ? conversation.members.find((member) => member.user !== this.me.id) ?? conversation.members[0] : null;
  }
  titleOf(conversation) {
    const other = this.other(conversation);
    return other ? other.display || other.name : conversation.title ?? '';
  }
  isOnline(user) { return this.presence.get(user)?.online === true; }
  readers(conversation, order) { return conversation.members.filter((member) => member.user !== this.me.id && member.read >= order).length; }
}
