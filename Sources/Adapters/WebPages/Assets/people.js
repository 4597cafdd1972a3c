// Dialogs about people: finding somebody, making a group, a conversation's details, a location to share.

import { avatar, button, confirmDialog, dialog, field, h, hidden, icon, iconButton, menu, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { newCid } from './outbox.js';
import { face, presenceText } from './thread.js';

const close = () => t('close');
const personName = (person) => person.display || person.name;
const report = (error) => toast(errorText(error), 'error');

function personRow(chat, person, extra) {
  const id = person.id ?? person.user;
  const isOnline = person.online ?? chat.isOnline(id);
  return [
    h('span', { class: 'with-dot' }, avatar(id, personName(person)), h('span', { class: isOnline ? 'dot on' : 'dot' })),
    h('span', { class: 'middle' },
      h('span', { class: 'title', dir: 'auto' }, h('span', {}, personName(person))),
      h('span', { class: 'line' }, person.display && person.display !== person.name ? `@${person.name} · ` : '', isOnline ? t('online') : t('offline'))),
    extra,
  ];
}

/** A search box with its results as buttons. `choose(person)`; `skip(id)` leaves somebody out. */
function finder(chat, choose, { skip = () => false, marked = () => false } = {}) {
  const input = field(t('searchPeople'), { type: 'search', autocomplete: 'off', spellcheck: 'false', autofocus: true, dir: 'auto' });
  const results = h('ul', { class: 'people' });
  const status = h('p', { class: 'note', role: 'status' });
  let number = 0;
  let timer;
  const search = async () => {
    const mine = ++number;
    try {
      const { items } = await chat.request('users', { q: input.input.value.trim(), limit: 50 });
      if (mine !== number) return;
      for (const person of items) chat.people.set(person.id, person);
      const found = items.filter((person) => person.id !== chat.me.id && !skip(person.id));
      results.replaceChildren(...found.map((person) => h('li', {}, h('button', {
        type: 'button', class: 'person', 'aria-pressed': marked(person.id) ? 'true' : null, onclick: () => choose(person),
      }, personRow(chat, person, marked(person.id) ? icon('check') : null)))));
      status.textContent = found.length ? '' : t('nothingFound');
    } catch (error) {
      if (mine === number) status.textContent = errorText(error);
    }
  };
  input.input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(search, 200); });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || (event.key === 'Enter' && !event.isComposing)) { event.preventDefault(); results.querySelector('button')?.focus(); }
  });
  results.addEventListener('keydown', (event) => {
    const all = [...results.querySelectorAll('button')];
    const next = all.indexOf(document.activeElement) + ({ ArrowDown: 1, ArrowUp: -1 }[event.key] ?? 0);
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    (next < 0 ? input.input : all[Math.min(next, all.length - 1)]).focus();
  });
  search();
  const element = h('div', { class: 'finder' }, input, status, results);
  element.again = search;
  return element;
}

export function newChatDialog(chat, opened) {
  const start = async (person) => {
    try {
      const { conversation } = await chat.request('create', { type: 'direct', user: person.id });
      box.close();
      chat.keepConversation(conversation);
      opened(conversation.id);
    } catch (error) { report(error); }
  };
  const box = dialog(t('newChat'), [
    button(t('newGroup'), { class: 'person action', onclick: () => { box.close(); newGroupDialog(chat, opened); } }, h('span', { class: 'round' }, icon('people')), t('newGroup')),
    finder(chat, start),
  ], { closeLabel: close() });
}

/** Lets one pick several people; `done(people)` is a promise that closes the dialog when it keeps. */
function pickMany(chat, { title, action, first, skip, done }) {
  const chosen = new Map();
  const chips = h('ul', { class: 'chips', 'aria-label': t('selected') });
  const submit = h('button', { type: 'submit', class: 'primary' }, action);
  const draw = () => {
    chips.replaceChildren(...[...chosen.values()].map((person) => h('li', {}, h('button', {
      type: 'button', class: 'chip', onclick: () => toggle(person),
    }, h('span', { dir: 'auto' }, personName(person)), icon('close'), hidden(t('removeName', { name: personName(person) }))))));
    people.again();
  };
  const toggle = (person) => {
    if (chosen.has(person.id)) chosen.delete(person.id);
    else chosen.set(person.id, person);
    draw();
    people.querySelector('input').focus();
  };
  const people = finder(chat, toggle, { skip, marked: (id) => chosen.has(id) });
  const form = h('form', {
    class: 'stack', novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try { if (await done([...chosen.keys()])) box.close(); } catch (error) { report(error); }
      submit.disabled = false;
    },
  }, first, chips, people, h('div', { class: 'row end sticky' }, submit));
  const box = dialog(title, form, { closeLabel: close() });
  return box;
}

function newGroupDialog(chat, opened) {
  const title = field(t('groupTitle'), { maxlength: 100, required: true, autofocus: true, dir: 'auto' });
  const cid = newCid(); // one for the dialog: a second press after a lost answer makes no second group
  pickMany(chat, {
    title: t('newGroup'), action: t('createGroup'), first: title,
    done: async (members) => {
      const text = title.input.value.trim();
      title.fail(text ? null : t('groupTitleEmpty'));
      if (!text) { title.input.focus(); return false; }
      const { conversation } = await chat.request('create', { type: 'group', title: text, members, cid });
      chat.keepConversation(conversation);
      opened(conversation.id);
      return true;
    },
  });
  title.input.focus();
}

// MARK: Details of a conversation

export function detailsDialog(chat, conv) {
  const body = h('div', { class: 'stack' });
  const conversation = () => chat.conversations.get(conv);
  const take = ({ conversation: view }) => { if (view) chat.keepConversation(view); draw(); chat.on.list(); chat.on.thread(conv); };
  const act = async (verb, values) => { try { take(await chat.request(verb, { conv, ...values })); } catch (error) { report(error); } };
  const draw = () => {
    const current = conversation();
    if (!current) { box?.close(); return; }
    body.replaceChildren(...(current.type === 'direct' ? direct(chat, current, draw) : group(chat, current, act, () => box.close())).filter(Boolean));
  };
  draw();
  const box = dialog(t('details'), body, { closeLabel: close() });
}

function direct(chat, conversation, draw) {
  const other = chat.other(conversation);
  const name = personName(other);
  const isBlocked = chat.blocked.has(other.user);
  const block = async () => {
    if (!isBlocked && !(await confirmDialog(t('blockTitle', { name }), t('blockText'), t('block'), t('cancel')))) return;
    await setBlocked(chat, other.user, name, !isBlocked);
    draw();
  };
  return [
    h('div', { class: 'profile' }, face(chat, conversation), h('h3', { dir: 'auto' }, name), h('p', { class: 'quiet' }, `@${other.name} · ${presenceText(chat, other.user)}`)),
    button(t(isBlocked ? 'unblock' : 'block'), { class: isBlocked ? 'plain wide' : 'danger-text wide', onclick: block }),
  ];
}

export async function setBlocked(chat, user, name, on) {
  try {
    await chat.request('block', { user, on });
    if (on) chat.blocked.add(user);
    else chat.blocked.delete(user);
    toast(t(on ? 'blockedNow' : 'unblockedNow', { name }));
    if (chat.open) chat.on.thread(chat.open);
  } catch (error) { report(error); }
}

function group(chat, conversation, act, shut) {
  const mayManage = conversation.role !== 'member';
  const members = [...conversation.members].sort((a, b) => ['owner', 'admin', 'member'].indexOf(a.role) - ['owner', 'admin', 'member'].indexOf(b.role) || personName(a).localeCompare(personName(b)));
  const rename = field(t('groupTitle'), { maxlength: 100, dir: 'auto', value: conversation.title ?? '' });
  const leave = async () => {
    if (!(await confirmDialog(t('leaveTitle', { name: conversation.title }), t('leaveText'), t('leave'), t('cancel')))) return;
    try {
      await chat.request('leave', { conv: conversation.id });
      shut();
      chat.changed({ kind: 'left', conv: conversation.id });
    } catch (error) { report(error); }
  };
  return [
    h('div', { class: 'profile' }, face(chat, conversation), h('h3', { dir: 'auto' }, conversation.title), h('p', { class: 'quiet' }, t('members', members.length))),
    mayManage ? h('form', { class: 'row', onsubmit: (event) => { event.preventDefault(); if (rename.input.value.trim()) act('update', { title: rename.input.value.trim() }); } },
      rename, h('button', { type: 'submit', class: 'plain' }, t('rename'))) : null,
    mayManage ? button(t('invite'), {
      class: 'person action',
      onclick: () => pickMany(chat, {
        title: t('invite'), action: t('add'), skip: (id) => conversation.members.some(({ user }) => user === id),
        done: async (users) => { if (users.length) await act('invite', { users }); return true; },
      }),
    }, h('span', { class: 'round' }, icon('plus')), t('invite')) : null,
    h('ul', { class: 'people' }, members.map((person) => h('li', { class: 'person' },
      personRow(chat, person, h('span', { class: 'end-row' }, person.role === 'member' ? null : h('span', { class: 'tag' }, t(person.role)), memberMenu(chat, conversation, person, act)))))),
    button(t('leave'), { class: 'danger-text wide', onclick: leave }),
  ];
}

function memberMenu(chat, conversation, person, act) {
  if (person.user === chat.me.id) return null;
  const name = personName(person);
  const items = [];
  if (conversation.role === 'owner') {
    if (person.role === 'member') items.push({ icon: 'person', label: t('makeAdmin'), run: () => act('role', { user: person.user, role: 'admin' }) });
    else items.push({ icon: 'person', label: t('makeMember'), run: () => act('role', { user: person.user, role: 'member' }) });
    items.push({ icon: 'check', label: t('makeOwner'), run: async () => {
      if (await confirmDialog(t('makeOwnerTitle', { name }), t('makeOwnerText'), t('makeOwner'), t('cancel'))) act('role', { user: person.user, role: 'owner' });
    } });
  }
  if (conversation.role !== 'member' && person.role !== 'owner') {
    items.push({ icon: 'close', label: t('removeMember'), danger: true, run: async () => {
      if (await confirmDialog(t('removeTitle', { name }), t('removeText'), t('removeMember'), t('cancel'))) act('remove', { user: person.user });
    } });
  }
  if (!items.length) return null;
  const more = iconButton('more', t('memberActions', { name }), { 'aria-haspopup': 'menu', 'aria-expanded': 'false', onclick: () => menu(more, items) });
  return more;
}

// MARK: A location

export function locationDialog(share) {
  const lat = field(t('latitude'), { inputmode: 'decimal', autocomplete: 'off', required: true, autofocus: true });
  const lon = field(t('longitude'), { inputmode: 'decimal', autocomplete: 'off', required: true });
  const label = field(t('label'), { maxlength: 80, dir: 'auto' });
  let accuracy;
  const number = (wrap, most, text) => {
    const raw = wrap.input.value.trim().replace(',', '.').replace('−', '-');
    const value = Number(raw);
    const isGood = raw !== '' && Number.isFinite(value) && Math.abs(value) <= most;
    wrap.fail(isGood ? null : text);
    return isGood ? value : null;
  };
  const here = 'geolocation' in navigator && isSecureContext ? button(t('myPosition'), { class: 'plain', onclick: () => navigator.geolocation.getCurrentPosition(({ coords }) => {
    lat.input.value = coords.latitude.toFixed(6);
    lon.input.value = coords.longitude.toFixed(6);
    accuracy = coords.accuracy;
  }, () => toast(t('positionFailed'), 'error'), { timeout: 15_000 }) }) : null;
  const form = h('form', {
    class: 'stack', novalidate: true,
    onsubmit: (event) => {
      event.preventDefault();
      const [latitude, longitude] = [number(lat, 90, t('latitudeBad')), number(lon, 180, t('longitudeBad'))];
      if (latitude === null || longitude === null) { form.querySelector('[aria-invalid]')?.focus(); return; }
      box.close();
      share({ lat: latitude, lon: longitude, ...(label.input.value.trim() ? { label: label.input.value.trim() } : {}), ...(accuracy ? { accuracy } : {}) });
    },
  }, lat, lon, label, h('div', { class: 'row end' }, here, h('button', { type: 'submit', class: 'primary' }, t('sendIt'))));
  const box = dialog(t('shareLocation'), form, { closeLabel: close(), className: 'small' });
}
