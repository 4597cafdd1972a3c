// The ways in: claim link, invitation, reset link, sign-in. Shared by the chat and the administrator's pages.

import { api, deviceName } from './api.js';
import { button, field, h, icon, iconButton } from './dom.js';
import { errorText, fullTime, language, languageNames, setLanguage, t } from './i18n.js';
import { keepSession } from './storage.js';

const minimumPassword = 8;
const goodName = /^[\p{L}\p{N}\p{M}\-_.]{1,32}$/u;

/** `#/claim/TOKEN`, `#/invite/TOKEN`, `#/reset/TOKEN` as `{way, token}`; null for every other address. */
export function gateRoute() {
  const match = /^#\/(claim|invite|reset)\/([^/?#]+)$/.exec(location.hash);
  return match ? { way: match[1], token: decoded(match[2]) } : null;
}

/** A link that was damaged on its way stays as it is: the box will say that it does not know it. */
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

export function languageSwitch(redraw) {
  const select = h('select', { 'aria-label': t('language'), class: 'language', onchange: () => { setLanguage(select.value); redraw(); } },
    Object.entries(languageNames).map(([code, name]) => h('option', { value: code, lang: code, selected: code === language }, name)));
  return select;
}

export function passwordField(label, props, options) {
  const wrap = field(label, { type: 'password', required: true, maxlength: 256, ...props }, options);
  const show = iconButton('eye', t('showPassword'), {
    'aria-pressed': 'false',
    onclick: () => {
      const isShown = wrap.input.type === 'text';
      wrap.input.type = isShown ? 'password' : 'text';
      show.setAttribute('aria-pressed', String(!isShown));
    },
  });
  const row = h('div', { class: 'password' });
  wrap.input.replaceWith(row);
  row.append(wrap.input, show);
  return wrap;
}

/** Shows the gate in `root`; `entered()` is called with a session kept. `note` explains why one is here. */
export function showGate(root, { note, entered }) {
  const route = gateRoute();
  const redraw = () => showGate(root, { note, entered });
  document.title = `${t('signIn')} · ${t('product')}`;
  const card = h('section', { class: 'card', 'aria-labelledby': 'gate-title' });
  root.className = 'gate';
  root.replaceChildren(
    h('main', {}, h('p', { class: 'brand' }, h('img', { src: '/assets/icon.svg', alt: '', width: 44, height: 44 }), t('product')), card),
    h('footer', {}, languageSwitch(redraw)));
  if (route?.way === 'invite') checkInvite(card, route.token, entered, redraw);
  else if (route?.way === 'claim') form(card, { way: 'claim', title: t('claimTitle'), text: t('claimText'), action: t('claimDo'), token: route.token, entered, redraw });
  else if (route?.way === 'reset') form(card, { way: 'reset', title: t('resetTitle'), text: t('resetText'), action: t('resetDo'), token: route.token, entered, redraw });
  else form(card, { way: 'login', title: t('signInTitle'), text: note ?? t('signInText'), isWarning: Boolean(note), action: t('signIn'), entered, redraw });
}

/** The secret in the address has done its work, or never will: it leaves the address bar and the history. */
function forgetLink() { history.replaceState(null, '', `${location.pathname}#/`); }

async function checkInvite(card, token, entered, redraw) {
  card.replaceChildren(h('p', { class: 'quiet', role: 'status' }, t('working')));
  try {
    const invite = await api('POST', '/invites/check', { token }, { token: null });
    const until = invite.expires ? t('inviteUntil', { time: fullTime(new Date(invite.expires)) }) : '';
    form(card, { way: 'invite', title: t('inviteTitle'), text: t('inviteText'), small: [invite.role === 'admin' ? t('inviteAdmin') : '', until].filter(Boolean).join(' '),
      action: t('inviteDo'), token, entered, redraw });
  } catch (error) {
    if (error.temporary) failed(card, error, () => checkInvite(card, token, entered, redraw));
    else dead(card, t('linkDeadText'), redraw);
  }
}

function failed(card, error, again) {
  card.replaceChildren(h('h1', { id: 'gate-title' }, t('e_unknown')), h('p', { role: 'alert' }, errorText(error)), button(t('retry'), { class: 'primary wide', onclick: again }));
}

function dead(card, text, redraw) {
  forgetLink();
  card.replaceChildren(
    h('span', { class: 'big-icon warn' }, icon('alert')),
    h('h1', { id: 'gate-title', tabindex: -1 }, t('linkDead')), h('p', { role: 'alert' }, text),
    button(t('toSignIn'), { class: 'primary wide', onclick: redraw }));
  card.querySelector('button').focus();
}

const calls = {
  claim: (name, password, token) => api('POST', '/claim', { token, name, password, device: deviceName() }, { token: null }),
  invite: (name, password, token) => api('POST', '/invites/accept', { token, name, password, device: deviceName() }, { token: null }),
  reset: (_, password, token) => api('POST', '/reset', { token, password, device: deviceName() }, { token: null }),
  login: (name, password) => api('POST', '/login', { name, password, device: deviceName() }, { token: null }),
};

function form(card, { way, title, text, small, isWarning, action, token, entered, redraw }) {
  const isNew = way !== 'login';
  const name = way === 'reset' ? null : field(t('name'), {
    name: 'username', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true, maxlength: 64, dir: 'auto',
  }, { hint: isNew ? t('nameHint') : null });
  const password = passwordField(t(way === 'reset' ? 'newPassword' : 'password'), {
    name: 'password', autocomplete: isNew ? 'new-password' : 'current-password',
  }, { hint: isNew ? t('passwordHint') : null });
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const submit = h('button', { type: 'submit', class: 'primary wide' }, action);
  const element = h('form', { novalidate: true, onsubmit: (event) => { event.preventDefault(); send(); } }, name, password, problem, submit);
  card.replaceChildren(
    h('h1', { id: 'gate-title' }, title), h('p', { class: isWarning ? 'problem' : 'quiet', role: isWarning ? 'alert' : null }, text),
    small ? h('p', { class: 'quiet' }, small) : '', element, way === 'login' ? h('p', { class: 'hint' }, t('signInHelp')) : '');
  (name ?? password).input.focus();

  function check() {
    const value = name?.input.value.trim() ?? '';
    name?.fail(value === '' ? t('nameEmpty') : isNew && !goodName.test(value) ? t('nameBad') : null);
    const secret = password.input.value;
    password.fail(secret === '' ? t('passwordEmpty') : isNew && [...secret].length < minimumPassword ? t('passwordShort') : null);
    const wrong = element.querySelector('[aria-invalid=true]');
    wrong?.focus();
    return !wrong;
  }

  async function send() {
    problem.hidden = true;
    if (submit.disabled || !check()) return;
    submit.disabled = true;
    submit.textContent = t('working');
    try {
      const answer = await calls[way](name?.input.value.trim(), password.input.value, token);
      keepSession(answer);
      forgetLink();
      entered(answer);
    } catch (error) {
      if (!card.isConnected) return;
      submit.disabled = false;
      submit.textContent = action;
      if (way === 'login' && error.code === 'unauthenticated') complain(t('wrongPassword'));
      else if (way === 'login' && error.code === 'forbidden') complain(t('locked'));
      else if (error.code === 'conflict' && name) { name.fail(t('nameTaken')); name.input.focus(); name.input.select(); }
      else if (error.field === 'name' && name) { name.fail(t('nameBad')); name.input.focus(); }
      else if (error.field === 'password') { password.fail(errorText(error)); password.input.focus(); }
      else if (token && ['gone', 'not_found', 'unauthenticated', 'token_expired', 'forbidden'].includes(error.code)) dead(card, t(way === 'claim' ? 'claimDeadText' : 'linkDeadText'), redraw);
      else complain(errorText(error));
    }
  }

  function complain(text) {
    problem.textContent = text;
    problem.hidden = false;
    password.input.focus();
  }
}
