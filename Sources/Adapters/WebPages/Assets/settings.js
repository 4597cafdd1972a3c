// The person's own settings: name, password, devices, language, appearance, blocked people, sign-out.

import { api, seg } from './api.js';
import { button, confirmDialog, dialog, field, h, icon, toast } from './dom.js';
import { passwordField, languageSwitch } from './gate.js';
import { ago, errorText, t } from './i18n.js';
import { setBlocked } from './people.js';
import { applyTheme, load, save } from './storage.js';

export function settingsDialog(chat, { redraw, signOut }) {
  const report = (error) => toast(errorText(error), 'error');
  const person = chat.people.get(chat.me.id);

  const display = field(t('displayName'), { maxlength: 60, value: person?.display ?? '', dir: 'auto', autocomplete: 'nickname' });
  const displayForm = h('form', {
    onsubmit: async (event) => {
      event.preventDefault();
      try {
        const me = await api('PATCH', '/me', { display: display.input.value.trim() });
        chat.people.set(chat.me.id, { name: me.name, display: me.display });
        toast(t('saved'));
        chat.on.list();
      } catch (error) { report(error); }
    },
  }, h('div', { class: 'row' }, display, h('button', { type: 'submit', class: 'plain' }, t('save'))), h('p', { class: 'hint', id: 'display-hint' }, t('displayHint', { name: chat.me.name })));
  display.input.setAttribute('aria-describedby', 'display-hint');
  if (!person?.display) api('GET', '/me').then((me) => { if (!display.input.value) display.input.value = me.display ?? ''; }).catch(() => {});

  const theme = h('select', { onchange: () => { save('skerry.theme', theme.value === 'auto' ? null : theme.value); applyTheme(); } },
    [['auto', 'themeAuto'], ['light', 'themeLight'], ['dark', 'themeDark']].map(([value, key]) => h('option', { value, selected: (load('skerry.theme') ?? 'auto') === value }, t(key))));

  const old = passwordField(t('oldPassword'), { autocomplete: 'current-password' });
  const fresh = passwordField(t('newPassword'), { autocomplete: 'new-password' }, { hint: t('passwordHint') });
  const passwordForm = h('form', {
    class: 'stack', novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      old.fail(old.input.value ? null : t('passwordEmpty'));
      fresh.fail([...fresh.input.value].length < 8 ? t('passwordShort') : null);
      const wrong = passwordForm.querySelector('[aria-invalid]');
      if (wrong) { wrong.focus(); return; }
      try {
        await api('POST', '/me/password', { old: old.input.value, new: fresh.input.value });
        old.input.value = fresh.input.value = '';
        passwordForm.parentElement.open = false;
        toast(t('saved'));
      } catch (error) {
        if (['unauthenticated', 'forbidden'].includes(error.code)) { old.fail(t('oldPasswordWrong')); old.input.focus(); } else report(error);
      }
    },
  }, h('input', { type: 'text', class: 'sr', autocomplete: 'username', value: chat.me.name, tabindex: -1, 'aria-hidden': 'true', readonly: true }), old, fresh,
  h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'plain' }, t('changePassword'))));

  const devices = h('ul', { class: 'rows' }, h('li', {}, t('loading')));
  const drawDevices = async () => {
    try {
      const { items } = await api('GET', '/me/devices');
      devices.replaceChildren(...items.map((device) => h('li', {},
        h('span', { class: 'middle' }, h('span', { class: 'title', dir: 'auto' }, device.name || t('device')), h('span', { class: 'line' }, device.current ? t('thisDevice') : t('deviceSeen', { time: ago(new Date(device.seen ?? device.created)) }))),
        device.current ? null : button(t('removeDevice'), {
          class: 'link', 'aria-label': t('removeDeviceName', { name: device.name || t('device') }),
          onclick: async () => { try { await api('DELETE', `/me/devices/${seg(device.id)}`); drawDevices(); } catch (error) { report(error); } },
        }))));
    } catch (error) { devices.replaceChildren(h('li', {}, errorText(error))); }
  };
  drawDevices();

  const blocked = h('ul', { class: 'rows' });
  const drawBlocked = () => blocked.replaceChildren(...(chat.blocked.size ? [...chat.blocked].map((user) => {
    const name = chat.nameOf(user) ?? user;
    return h('li', {}, h('span', { class: 'middle', dir: 'auto' }, name), button(t('unblock'), { class: 'link', 'aria-label': `${t('unblock')}: ${name}`, onclick: async () => { await setBlocked(chat, user, name, false); drawBlocked(); } }));
  }) : [h('li', { class: 'quiet' }, t('none'))]));
  drawBlocked();

  const leave = async () => {
    const text = chat.outbox.unsent ? `${t('signOutText')} ${t('signOutUnsent')}` : t('signOutText');
    if (await confirmDialog(t('signOut'), text, t('signOut'), t('cancel'))) { box.close(); signOut(); }
  };

  const language = languageSwitch(() => { box.close(); redraw(); });
  const box = dialog(t('settings'), h('div', { class: 'stack' },
    displayForm,
    h('div', { class: 'row' }, h('div', { class: 'field' }, h('span', { class: 'label', 'aria-hidden': 'true' }, t('language')), language), h('div', { class: 'field' }, h('label', { class: 'label' }, t('theme'), theme))),
    h('details', {}, h('summary', {}, t('changePassword')), passwordForm),
    h('details', {}, h('summary', {}, t('devices')), devices),
    h('details', {}, h('summary', {}, t('blockedPeople')), blocked),
    chat.me.role === 'admin' ? h('a', { class: 'plain wide button', href: '/admin' }, icon('signal'), t('administration')) : null,
    button(t('signOut'), { class: 'danger-text wide', onclick: leave })), { closeLabel: t('close') });
}
