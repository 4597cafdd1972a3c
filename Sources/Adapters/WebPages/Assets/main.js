// The chat page: who one is, which address is open, and the pieces that show it.

import { api } from './api.js';
import { Chat } from './chat.js';
import { button, h, icon, toast } from './dom.js';
import { gateRoute, showGate } from './gate.js';
import { errorText, t } from './i18n.js';
import { List } from './list.js';
import { detailsDialog, newChatDialog } from './people.js';
import { home } from './places.js';
import { settingsDialog } from './settings.js';
import { applyTheme, currentSession, dropSession, forgetUser, isSessionKey, session, spare } from './storage.js';
import { preview, Thread } from './thread.js';

const announcementsMax = 5;
const elsewhereAttempts = 6;
const renewMilliseconds = 600_000;
const root = document.getElementById('app');
let app = null;

class App {
  constructor(signedIn) {
    this.chat = new Chat(signedIn, {
      state: (name, detail) => this.connection(name, detail),
      list: () => this.later('list'),
      thread: (conv) => { if (conv === this.chat?.open) this.later('thread'); },
      gone: (conversation) => this.gone(conversation),
      arrived: (message) => this.arrived(message),
      notice: (notice) => toast(notice.text ?? notice.code),
    });
    this.pending = new Set();
    this.build();
    this.visible = () => {
      if (document.visibilityState === 'visible') this.thread?.afterScroll();
      this.renew();
    };
    document.addEventListener('visibilitychange', this.visible);
    addEventListener('focus', this.visible);
    this.fenced = (event) => { if (event.effectiveDirective === 'connect-src') this.isFenced = true; };
    document.addEventListener('securitypolicyviolation', this.fenced);
    this.chat.link.connect();
  }

  build() {
    this.list = new List(this.chat, { newChat: () => newChatDialog(this.chat, (conv) => go(conv)), settings: () => this.settings() });
    this.main = h('main', { class: 'pane' });
    this.banner = h('div', { class: 'banner', role: 'status', hidden: true });
    root.className = 'chat';
    root.replaceChildren(h('a', { class: 'skip', href: '#messages', onclick: (event) => { event.preventDefault(); document.getElementById('messages')?.focus(); } }, t('skipToMessages')),
      this.banner, this.list.element, this.main);
    this.list.render();
    this.connection(this.chat.link.state, this.stopDetail);
  }

  /** Draws once for however many changes came in one moment; a hidden tab gets no animation frames, and need not. */
  later(what) {
    this.pending.add(what);
    if (this.isScheduled) return;
    this.isScheduled = true;
    const draw = () => {
      if (!this.isScheduled) return;
      this.isScheduled = false;
      const wanted = [...this.pending];
      this.pending.clear();
      if (wanted.includes('thread')) this.thread?.render();
      if (wanted.includes('list')) { this.list.render(); this.title(); this.settle(); }
    };
    if (document.visibilityState === 'visible') requestAnimationFrame(draw);
    else setTimeout(draw, 100);
  }

  title() {
    const { unreadTotal } = this.chat;
    const conversation = this.chat.conversations.get(this.chat.open);
    document.title = `${unreadTotal ? `(${unreadTotal}) ` : ''}${conversation ? `${this.chat.titleOf(conversation)} · ` : ''}${t('product')}`;
  }

  // MARK: Which conversation

  route() {
    const match = /^#\/c\/([^/?#]+)$/.exec(location.hash);
    this.show(match ? decodeURIComponent(match[1]) : null);
  }

  /** The address may name a conversation before the list has it. */
  settle() {
    if (this.wanted && this.chat.conversations.has(this.wanted)) this.show(this.wanted);
    else if (this.wanted && this.chat.isLoaded && this.chat.link.isLive) { this.wanted = null; location.hash = '#/'; }
  }

  show(conv) {
    this.wanted = null;
    if (conv && !this.chat.conversations.has(conv)) { this.wanted = conv; this.settle(); if (this.wanted) return; conv = null; }
    if (conv && this.thread?.conv === conv) return;
    const before = this.thread?.conv;
    this.thread?.close();
    this.thread = null;
    root.classList.toggle('has-thread', Boolean(conv));
    if (!conv) {
      this.chat.closeConversation();
      this.main.replaceChildren(h('div', { class: 'empty' }, h('img', { src: '/assets/icon.svg', alt: '', width: 72, height: 72 }), h('h2', {}, t('choose')), h('p', {}, t('chooseText'))));
      this.later('list');
      if (before) requestAnimationFrame(() => this.list.items.querySelector(`a[href="#/c/${CSS.escape(before)}"]`)?.focus());
      return;
    }
    this.chat.openConversation(conv).catch((error) => { if (error.code !== 'offline') toast(errorText(error), 'error'); });
    this.thread = new Thread(this.chat, conv, { back: () => go(null), details: () => detailsDialog(this.chat, conv) });
    this.main.replaceChildren(this.thread.element);
    this.thread.render();
    // On a phone the keyboard would cover what one came to read.
    (matchMedia('(pointer: coarse)').matches ? this.thread.log : this.thread.input).focus({ preventScroll: true });
    this.later('list');
  }

  gone(conversation) {
    if (conversation.type === 'group') toast(t('leftGroup', { name: conversation.title }));
    if (this.chat.open === conversation.id) go(null);
  }

  arrived(message) {
    if (message.from === this.chat.me.id) return;
    const conversation = this.chat.conversations.get(message.conv);
    const name = message.conv === this.chat.open ? this.chat.nameOf(message.from) : conversation && this.chat.titleOf(conversation);
    this.announce(t('someoneSaid', { name: name ?? '', text: preview(message) }));
  }

  /** Read out when the person's screen reader has a moment; of a flood only the first few. */
  announce(text) {
    this.announcer ??= document.body.appendChild(h('div', { class: 'sr announcer', 'aria-live': 'polite', 'aria-relevant': 'additions' }));
    if (this.announcer.children.length >= announcementsMax) return;
    const line = h('p', {}, text);
    this.announcer.append(line);
    setTimeout(() => line.remove(), 5000);
  }

  // MARK: The connection

  connection(state, detail) {
    clearTimeout(this.bannerTimer);
    this.stopDetail = detail;
    root.dataset.link = state;
    if (state === 'stopped') { this.stopped(detail); return; }
    if (state === 'live') {
      const { box } = this.chat.link.place;
      if (this.wasLive && this.box && box !== this.box) toast(t('movedTo'));
      this.banner.hidden = true;
      this.wasLive = true;
      this.box = box;
      this.later('list');
      this.renew();
      return;
    }
    // A short gap is nobody's concern.
    this.bannerTimer = setTimeout(() => {
      const text = state === 'syncing' ? t('syncing') : this.wasLive || state === 'waiting' ? t('reconnecting') : t('connecting');
      this.banner.className = 'banner';
      this.banner.replaceChildren(h('span', {}, text), state === 'waiting' ? button(t('connectNow'), { class: 'link', onclick: () => { clearTimeout(this.chat.link.retryTimer); this.chat.link.connect(); } }) : '', this.elsewhere());
      this.banner.hidden = false;
    }, this.banner.hidden ? 900 : 0);
  }

  /**
   * This page may go only to boxes that its own box knew when it was loaded. One that has joined since then is behind the fence until the page is
   * loaded anew, which happens when nobody is in the middle of something: what was written is kept.
   */
  renew() {
    if (!this.isFenced || !this.chat.link.isLive || this.chat.link.place !== home) return;
    const isBusy = document.visibilityState === 'visible' && (document.querySelector('dialog[open], .popup') || this.thread?.input.value);
    if (!isBusy && spare('skerry.renewed', renewMilliseconds)) location.reload();
  }

  /** When even the other boxes cannot be reached from this page, their own pages may still be: a certificate one has to look at first, for one. */
  elsewhere() {
    const { attempt, others } = this.chat.link;
    const place = attempt >= elsewhereAttempts ? others.find(({ base }) => base) : null;
    return place ? h('a', { class: 'link', href: `${place.base}/` }, t('openElsewhere', { name: place.name || new URL(place.base).host })) : '';
  }

  stopped(detail) {
    if (detail?.why === 'unauthenticated') { leave(t('signedOut'), { keepUnsent: true }); return; }
    if (detail?.why === 'locked') { leave(t('locked'), { keepUnsent: true }); return; }
    if (!detail) return;
    this.banner.className = 'banner bad';
    this.banner.replaceChildren(icon('alert'), h('span', {}, t('stopped'), detail.detail?.reason ? ` ${detail.detail.reason}` : ''), button(t('retry'), { class: 'link', onclick: () => this.chat.link.resume() }));
    this.banner.hidden = false;
  }

  settings() {
    settingsDialog(this.chat, {
      redraw: () => { const { thread } = this; thread?.close(); this.thread = null; this.list.rows.clear(); this.build(); this.route(); this.title(); },
      signOut: () => { api('POST', '/logout').catch(() => {}); leave(); },
    });
  }

  end() {
    this.thread?.close();
    clearTimeout(this.bannerTimer);
    document.removeEventListener('visibilitychange', this.visible);
    document.removeEventListener('securitypolicyviolation', this.fenced);
    removeEventListener('focus', this.visible);
    this.announcer?.remove();
    this.chat.link.stop();
  }
}

function go(conv) { location.hash = conv ? `#/c/${encodeURIComponent(conv)}` : '#/'; }

/** Back to the gate. Messages that were not sent are kept when the person did not choose to leave. */
function leave(note, { keepUnsent = false } = {}) {
  app?.end();
  app = null;
  const user = dropSession();
  if (user && !keepUnsent) forgetUser(user);
  for (const open of document.querySelectorAll('dialog[open]')) open.close();
  history.replaceState(null, '', '/#/');
  start(note);
}

function start(note) {
  const signedIn = currentSession();
  if (!gateRoute() && signedIn) {
    app = new App(signedIn);
    app.route();
    app.title();
  } else {
    app?.end();
    app = null;
    delete root.dataset.link;
    showGate(root, { note, entered: () => start() });
  }
}

addEventListener('hashchange', () => {
  if (app && !gateRoute()) app.route();
  else start();
});
addEventListener('storage', (event) => {
  if (isSessionKey(event.key)) {
    if (app && session()?.token !== app.chat.link.token) { app.end(); app = null; dropIfGone(); start(); } else if (!app && session()) start();
  } else app?.chat.outbox.changedElsewhere(event.key);
});
function dropIfGone() { if (!session()) dropSession(); }

applyTheme();
start();
