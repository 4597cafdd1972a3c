// The administrator's pages: health, the federation's boxes, who is connected, users, invitations, listeners. Everything comes from `/v1/admin`.

import './admin-texts.js';
import { accessPages } from './admin-access.js';
import { boxPages } from './admin-boxes.js';
import { mqttPages } from './admin-mqtt.js';
import { Refusal, api, seg } from './api.js';
import { avatar, button, confirmDialog, copyText, dialog, field, h, hidden, icon, iconButton, menu, toast } from './dom.js';
import { languageSwitch, passwordField, showGate } from './gate.js';
import { ago, clockTime, duration, errorText, fullTime, number, size, t } from './i18n.js';
import { qrImage } from './qr.js';
import { applyTheme, currentSession, dropSession, isSessionKey } from './storage.js';

const refreshMilliseconds = 5000;
const lowDiskShare = 0.1;
const root = document.getElementById('app');
const report = (error) => toast(errorText(error), 'error');
// Called when a section is drawn; by then all of the page is there.
const pieces = { refresh, table, head: (...parts) => head(...parts), nothing: (...parts) => nothing(...parts), when: (text) => when(text), tag: (...parts) => tag(...parts), health: (...parts) => health(...parts) };
const boxes = boxPages(pieces);
const pages = { overview: { icon: 'signal', draw: overview }, ...boxes.pages, online: { icon: 'chat', draw: online, label: 'onlineNow' }, users: { icon: 'people', draw: users }, invites: { icon: 'ticket', draw: invites }, ...mqttPages(pieces), ...accessPages(pieces), listeners: { icon: 'plug', draw: listeners } };

let shown = null; // {name, body, status}: the section on the screen
let timer;

// MARK: The frame

function start(note) {
  clearTimeout(timer);
  const me = currentSession();
  if (!me) { showGate(root, { note, entered: () => start() }); return; }
  if (me.role !== 'admin') { refuse(me); return; }
  draw();
}

function refuse(me) {
  root.className = 'gate';
  root.replaceChildren(h('main', {}, h('section', { class: 'card' },
    h('span', { class: 'big-icon warn' }, icon('alert')), h('h1', {}, t('adminOnly')), h('p', { class: 'quiet' }, t('adminOnlyText', { name: me.name })),
    h('a', { class: 'button primary wide', href: '/' }, t('toChat')))), h('footer', {}, languageSwitch(() => start())));
}

function draw() {
  const name = /^#\/(\w+)$/.exec(location.hash)?.[1];
  const page = Object.hasOwn(pages, name ?? '') ? name : 'overview';
  const label = (key) => t(pages[key].label ?? key);
  document.title = `${label(page)} · ${t('adminTitle')} · ${t('product')}`;
  root.className = 'admin';
  const body = h('main', { id: 'section', tabindex: -1, 'aria-label': label(page) }, h('p', { class: 'note' }, t('loading')));
  const status = h('p', { class: 'updated' });
  const isMove = root.contains(document.activeElement) && document.activeElement.closest('.tabs');
  root.replaceChildren(
    h('header', {}, h('h1', {}, h('img', { src: '/assets/icon.svg', alt: '', width: 34, height: 34 }), t('adminTitle')), languageSwitch(draw), h('a', { class: 'button plain', href: '/', title: t('toChat') }, icon('chat'), h('span', {}, t('toChat')))),
    h('nav', { class: 'tabs', 'aria-label': t('sections') }, Object.entries(pages).map(([key, { icon: drawing }]) => h('a', { href: `#/${key}`, 'aria-current': key === page ? 'page' : null }, icon(drawing), label(key)))),
    body, status);
  root.querySelector('.tabs [aria-current]').scrollIntoView({ block: 'nearest', inline: 'center' });
  if (isMove) root.querySelector('.tabs [aria-current]').focus();
  shown = { name: page, body, status };
  refresh();
}

/** Fetches and draws the section, and again after a while; what a person is doing in it is not disturbed. */
async function refresh() {
  clearTimeout(timer);
  const mine = shown;
  try {
    const children = await pages[mine.name].draw();
    if (shown !== mine) return;
    mine.seen = new Date();
    if (!document.querySelector('.popup')) put(mine.body, children);
    mine.status.textContent = t('updated', { time: clockTime(mine.seen) });
  } catch (error) {
    if (shown !== mine) return;
    if (error.code === 'unauthenticated' || error.code === 'token_expired') { dropSession(); start(t('signedOut')); return; }
    if (error.code === 'forbidden') { refuse(currentSession()); return; }
    if (!(error instanceof Refusal)) console.error(error);
    trouble(mine, error);
  }
  timer = setTimeout(() => (document.visibilityState === 'visible' ? refresh() : null), refreshMilliseconds);
}

function trouble({ body, seen }, error) {
  body.querySelector('.unreachable')?.remove();
  if (!seen) body.replaceChildren();
  const text = error.code !== 'offline' ? errorText(error) : seen ? t('unreachableText', { time: fullTime(seen) }) : t('unreachableFirst');
  body.prepend(health('bad unreachable', 'alert', error.code === 'offline' ? t('unreachable') : t('e_unknown'), text, 'alert'));
}

let isPressed = false; // a button replaced between press and release would never be clicked
addEventListener('pointerdown', () => { isPressed = true; }, true);
for (const name of ['pointerup', 'pointercancel']) addEventListener(name, () => { setTimeout(() => { isPressed = false; }); }, true);

/** Replaces the section when it changed, and keeps the focus on the control with the same name. */
function put(body, fresh) {
  const children = fresh.flat().filter(Boolean);
  if (isPressed || (children.length === body.children.length && children.every((child, index) => child.isEqualNode(body.children[index])))) return;
  const name = (element) => element?.dataset?.focus;
  const before = body.contains(document.activeElement) ? name(document.activeElement) : null;
  body.replaceChildren(...children);
  if (before) body.querySelector(`[data-focus="${CSS.escape(before)}"]`)?.focus();
}

// MARK: Pieces

const health = (kind, drawing, title, text, role) => h('div', { class: `health ${kind}`, role }, icon(drawing), h('div', {}, h('h3', {}, title), text ? h('p', {}, text) : null));
const figure = (label, value, more, extra) => h('div', { class: 'figure' }, h('dt', {}, label), h('dd', { class: String(value).length > 9 ? 'small-value' : '' }, value), more ? h('dd', { class: 'more' }, more) : null, extra);
const head = (title, ...actions) => h('div', { class: 'section-head' }, h('h2', {}, title), ...actions);
const nothing = (drawing, title, text) => h('div', { class: 'panel' }, h('div', { class: 'empty' }, h('span', { class: 'big-icon' }, icon(drawing)), h('h2', {}, title), h('p', {}, text)));
const when = (text) => h('time', { datetime: text, title: fullTime(new Date(text)) }, ago(new Date(text)));
const tag = (text, kind = '') => h('span', { class: `tag ${kind}` }, text);

/** A table that turns into cards on a phone; the first column is the row's heading. */
function table(label, columns, rows) {
  return h('div', { class: 'panel' }, h('table', { 'aria-label': label },
    h('thead', {}, h('tr', {}, columns.map((column) => h('th', { scope: 'col', class: column.isTight ? 'tight' : '' }, column.isTight ? hidden(column.label) : column.label)))),
    h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((cell, index) => (index === 0
      ? h('th', { scope: 'row' }, cell) : h('td', { 'data-label': columns[index].label, class: columns[index].isTight ? 'tight' : '' }, cell))))))));
}

function linkDialog(title, text, address) {
  // The box may not know by which address people reach it; the one of this page works at least here.
  const link = new URL(address, location.origin).href;
  const input = h('input', { type: 'text', readonly: true, value: link, 'aria-label': title, onfocus: (event) => event.target.select() });
  const copy = button(t('copy'), { class: 'primary', autofocus: true, onclick: () => copyText(link).then(() => toast(t('copied')), () => { input.select(); toast(t('copyFailed'), 'error'); }) });
  const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(link).hostname);
  dialog(title, h('div', { class: 'stack' }, h('p', {}, text), h('div', { class: 'linkbox' }, input, copy), isLocal ? h('p', { class: 'hint' }, t('linkLocal')) : null,
    qrImage(link, t('inviteQr'))), { closeLabel: t('close') });
}

// MARK: Overview

async function overview() {
  const [box, ready, ofBoxes] = await Promise.all([api('GET', '/admin/overview'), readiness(), boxes.problems()]);
  const problems = [];
  if (!ready.ready) problems.push(health('bad', 'alert', t('notReady', { reasons: (ready.reasons ?? []).join(', ') }), t('notReadyText')));
  const [free, total] = [Number(box.disk?.freeBytes), Number(box.disk?.totalBytes)];
  const isDiskLow = total > 0 && free / total < lowDiskShare;
  if (isDiskLow) problems.push(health('bad', 'alert', t('diskLow', { free: size(free), total: size(total) }), t('diskLowText')));
  if (box.clock?.synced === false) problems.push(health('warn', 'clock', t('clockUnset'), t('clockUnsetText')));
  if (!(box.listeners ?? []).some(({ kind }) => /mqtt/i.test(kind))) problems.push(health('warn', 'plug', t('noMqtt'), t('noMqttText')));
  problems.push(...ofBoxes);
  const used = total > 0 ? Math.round(100 * (1 - free / total)) : null;
  const bar = h('span', {});
  if (used !== null) bar.style.width = `${used}%`;
  return [
    problems.length ? head(t('attention', problems.length)) : null,
    problems.length ? problems : health('', 'check', t('allWell'), t('allWellText')),
    h('dl', { class: 'figures' },
      figure(t('peopleOnline'), number(box.online), t('ofUsers', number(box.users))),
      figure(t('sessionsNow'), number((box.sessions?.ws ?? 0) + (box.sessions?.mqtt ?? 0)), t('sessionsDetail', { ws: number(box.sessions?.ws ?? 0), mqtt: number(box.sessions?.mqtt ?? 0) })),
      figure(t('messagesStored'), number(Number(box.messages))),
      figure(t('database'), size(box.store?.bytes ?? 0)),
      figure(t('memory'), size(box.memory?.residentBytes ?? 0)),
      total > 0 ? figure(t('diskFree'), size(free), t('ofTotal', { total: size(total) }), h('div', { class: `meter ${isDiskLow ? 'warn' : ''}`, 'aria-hidden': 'true' }, bar)) : null,
      figure(t('uptime'), duration(box.uptimeSeconds ?? 0), box.started ? `${t('started')} ${fullTime(new Date(box.started))}` : null),
      figure(t('clock'), box.clock?.synced === undefined ? '–' : t(box.clock.synced ? 'clockSet' : 'clockNot')),
      figure(t('version'), box.version ?? '–'),
      figure(t('box'), box.box ?? '–')),
  ];
}

async function readiness() {
  try {
    const answer = await fetch('/readyz', { cache: 'no-store', credentials: 'omit' });
    if (answer.ok) return { ready: true };
    return { ready: false, reasons: [], ...(await answer.json().catch(() => ({}))) };
  } catch { return { ready: true }; } // the overview says more plainly that nobody answers
}

// MARK: Online and listeners

async function online() {
  const { items } = await api('GET', '/admin/online');
  if (!items.length) return [head(t('onlineNow')), nothing('chat', t('nobodyOnline'), t('nobodyOnlineText'))];
  return [head(`${t('onlineNow')} (${number(items.length)})`), table(t('onlineNow'),
    [{ label: t('user') }, { label: t('kind') }, { label: t('device') }, { label: t('address') }, { label: t('since') }],
    items.map((item) => [
      h('span', { class: 'who' }, avatar(item.user, item.name), h('span', { dir: 'auto' }, item.name)),
      tag(item.kind === 'mqtt' ? t('kindMqtt') : t('kindWs')), item.client || item.device || '–', item.address ?? '–', item.since ? when(item.since) : '–']))];
}

async function listeners() {
  const answer = await api('GET', '/admin/listeners');
  const items = answer.items ?? answer;
  if (!items.length) return [head(t('listeners')), nothing('plug', t('noListeners'), t('noListenersText'))];
  return [head(t('listeners')), table(t('listeners'), [{ label: t('kind') }, { label: t('address') }, { label: t('port') }, { label: t('tls') }],
    items.map((item) => [String(item.kind).toUpperCase(), item.address, String(item.port), item.tls ? tag(t('tlsOn'), 'good') : tag(t('tlsOff'))]))];
}

// MARK: Users

let userPages = 1;

async function users() {
  const items = [];
  let after;
  for (let page = 0; page < userPages; page += 1) {
    const answer = await api('GET', `/admin/users?limit=100${after ? `&after=${seg(after)}` : ''}`);
    items.push(...answer.items);
    after = answer.next;
    if (!after) break;
  }
  return [
    head(`${t('users')} (${number(items.length)}${after ? '+' : ''})`, button(t('addUser'), { class: 'primary', 'data-focus': 'add', onclick: addUser }, icon('plus'), t('addUser'))),
    table(t('users'), [{ label: t('user') }, { label: t('role') }, { label: t('status') }, { label: t('device') }, { label: t('created') }, { label: t('actionsHead'), isTight: true }],
      items.map((item) => [
        h('span', { class: 'who' }, avatar(item.id, item.display || item.name), h('span', { dir: 'auto' }, item.display && item.display !== item.name ? `${item.display} (@${item.name})` : item.name)),
        item.role === 'admin' ? tag(t('roleAdmin')) : t('roleUser'),
        item.locked ? tag(t('lockedState'), 'bad') : item.online ? tag(t('online'), 'good') : t('activeState'),
        t('deviceCount', item.devices ?? 0), item.created ? when(item.created) : '–', userMenu(item)])),
    after ? button(t('moreUsers'), { class: 'plain wide', 'data-focus': 'more', onclick: () => { userPages += 1; refresh(); } }) : null,
  ];
}

function userMenu(item) {
  const path = `/admin/users/${seg(item.id)}`;
  const name = item.display || item.name;
  const act = async (call, text) => { try { await call(); toast(text); } catch (error) { report(error); } refresh(); };
  const isMe = item.id === currentSession()?.user;
  const items = [{ icon: 'copy', label: t('resetLink'), run: async () => {
    try {
      const { link, expires } = await api('POST', `${path}/reset`, {});
      linkDialog(t('resetLinkFor', { name }), t('resetLinkText', { name, time: fullTime(new Date(expires)) }), link);
    } catch (error) { report(error); }
  } }];
  if (!isMe) {
    items.push(item.role === 'admin'
      ? { icon: 'person', label: t('toUser'), run: () => act(() => api('PATCH', path, { role: 'user' }), t('roleChanged', { name })) }
      : { icon: 'person', label: t('toAdmin'), run: async () => {
        if (await confirmDialog(t('toAdminTitle', { name }), t('toAdminText'), t('toAdmin'), t('cancel'), { danger: false })) act(() => api('PATCH', path, { role: 'admin' }), t('roleChanged', { name }));
      } });
    items.push(item.locked
      ? { icon: 'check', label: t('unlock'), run: () => act(() => api('POST', `${path}/unlock`, {}), t('unlockedNow', { name })) }
      : { icon: 'close', label: t('lock'), danger: true, run: async () => {
        if (await confirmDialog(t('lockTitle', { name }), t('lockText'), t('lock'), t('cancel'))) act(() => api('POST', `${path}/lock`, {}), t('lockedNow', { name }));
      } });
  }
  const more = iconButton('more', t('userActions', { name }), { 'data-focus': `user ${item.id}`, 'aria-haspopup': 'menu', 'aria-expanded': 'false', onclick: () => menu(more, items) });
  return more;
}

const roleField = (isFirst) => field(t('role'), {}, { control: h('select', { autofocus: isFirst }, h('option', { value: 'user' }, t('roleUser')), h('option', { value: 'admin' }, t('roleAdmin'))) });

function addUser() {
  const name = field(t('name'), { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', autofocus: true, dir: 'auto' }, { hint: t('nameHint') });
  const password = passwordField(t('password'), { autocomplete: 'new-password' }, { hint: t('passwordHint') });
  const role = roleField();
  const form = h('form', {
    class: 'stack', novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      const value = name.input.value.trim();
      name.fail(/^[\p{L}\p{N}\p{M}\-_.]{1,32}$/u.test(value) ? null : t('nameBad'));
      password.fail([...password.input.value].length < 8 ? t('passwordShort') : null);
      const wrong = form.querySelector('[aria-invalid]');
      if (wrong) { wrong.focus(); return; }
      try {
        await api('POST', '/admin/users', { name: value, password: password.input.value, role: role.input.value });
        box.close();
        toast(t('userAdded', { name: value }));
        refresh();
      } catch (error) {
        if (error.code === 'conflict') { name.fail(t('nameTaken')); name.input.focus(); } else report(error);
      }
    },
  }, name, password, role, h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'primary' }, t('addUser'))));
  const box = dialog(t('addUser'), form, { closeLabel: t('close') });
}

// MARK: Invitations

async function invites() {
  const { items } = await api('GET', '/admin/invites');
  const title = head(t('invites'), button(t('newInvite'), { class: 'primary', 'data-focus': 'add', onclick: newInvite }, icon('plus'), t('newInvite')));
  if (!items.length) return [title, nothing('ticket', t('noInvites'), t('noInvitesText'))];
  return [title, table(t('invites'), [{ label: t('role') }, { label: t('uses') }, { label: t('expires') }, { label: t('createdBy') }, { label: t('created') }, { label: t('actionsHead'), isTight: true }],
    items.map((item) => [
      item.role === 'admin' ? t('roleAdmin') : t('roleUser'), t('usedOf', { used: number(item.used), uses: number(item.uses) }),
      new Date(item.expires) < new Date() ? tag(t('expired'), 'bad') : fullTime(new Date(item.expires)), item.by ?? '–', when(item.created),
      button(t('withdraw'), { class: 'link', 'data-focus': `invite ${item.id}`, onclick: () => withdraw(item.id) })]))];
}

async function withdraw(id) {
  if (!(await confirmDialog(t('withdrawTitle'), t('withdrawText'), t('withdraw'), t('cancel')))) return;
  try { await api('DELETE', `/admin/invites/${seg(id)}`); toast(t('withdrawn')); } catch (error) { report(error); }
  refresh();
}

function newInvite() {
  const role = roleField(true);
  const uses = field(t('uses'), { type: 'number', min: 1, max: 1000, step: 1, value: 1, inputmode: 'numeric' }, { hint: t('usesHint') });
  const life = field(t('lifetime'), {}, { control: h('select', {}, [1, 6, 24, 72, 168, 720].map((hours) => h('option', { value: hours, selected: hours === 72 }, hours < 24 ? t('hours', hours) : t('days', hours / 24)))) });
  const form = h('form', {
    class: 'stack', novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      const count = Number(uses.input.value);
      const isGood = Number.isInteger(count) && count >= 1 && count <= 1000;
      uses.fail(isGood ? null : t('usesBad'));
      if (!isGood) { uses.input.focus(); return; }
      try {
        const { link } = await api('POST', '/admin/invites', { role: role.input.value, uses: count, hours: Number(life.input.value) });
        box.close();
        linkDialog(t('inviteReady'), t('inviteReadyText'), link);
        refresh();
      } catch (error) { report(error); }
    },
  }, role, h('div', { class: 'row' }, uses, life), h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'primary' }, t('createInvite'))));
  const box = dialog(t('newInvite'), form, { closeLabel: t('close'), className: 'small' });
}

addEventListener('hashchange', () => start());
addEventListener('storage', (event) => { if (isSessionKey(event.key)) start(); });
document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible' && shown && root.className === 'admin') refresh(); });
applyTheme();
start();
