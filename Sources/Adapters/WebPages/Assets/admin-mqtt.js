// The administrator's sections about the MQTT broker: its clients and the retained messages. Both lists come in pages.

import { api, seg } from './api.js';
import { button, confirmDialog, dialog, field, h, iconButton, menu, toast } from './dom.js';
import { errorText, fullTime, duration, number, size, t } from './i18n.js';

const pageSize = 100;
const emptyPagesMax = 200; // a page may be empty and still have a next one: the box looks at a bounded part at a time
const typingMilliseconds = 300;
const report = (error) => toast(errorText(error), 'error');

/** The two sections, drawn with the pieces of the page they stand on. */
export function mqttPages({ refresh, table, head, nothing, when, tag }) {
  /** Fetches pages until so many items are there; `next` when there are more. */
  async function pages(path, query, wanted) {
    const items = [];
    let after;
    for (let empty = 0; items.length < wanted && empty < emptyPagesMax;) {
      const answer = await api('GET', `${path}?${new URLSearchParams({ limit: pageSize, ...query, ...(after ? { after } : {}) })}`);
      items.push(...answer.items);
      if (!answer.items.length) empty += 1;
      after = answer.next;
      if (!after) break;
    }
    return { items, next: after };
  }

  /** A field that asks again a moment after the last key. It is made once, so that a redraw takes nothing from who types. */
  function asking(label, props, changed, control) {
    let timer;
    const wrap = field(label, { type: 'search', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', ...props }, control ? { control } : {});
    wrap.input.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(() => { changed(); refresh(); }, typingMilliseconds);
    });
    return wrap;
  }

  const count = (items, next) => `(${number(items.length)}${next ? '+' : ''})`;
  const act = async (call, text) => { try { await call(); toast(text); } catch (error) { report(error); } refresh(); };
  const more = (next, show) => (next ? button(t('moreUsers'), { class: 'plain wide', 'data-focus': 'more', onclick: show }) : null);
  const facts = (pairs) => h('dl', { class: 'facts' }, pairs.filter(Boolean).map(([label, value]) => h('div', {}, h('dt', {}, label), h('dd', {}, value))));

  // MARK: Clients

  function clientSection() {
    let shown = 1;
    let form;
    let language;
    const changed = () => { shown = 1; };

    function makeForm() {
      if (form && language === document.documentElement.lang) return form;
      language = document.documentElement.lang;
      const prefix = asking(t('clientStart'), { 'data-focus': 'prefix' }, changed);
      const topic = asking(t('clientTopic'), { 'data-focus': 'topic', dir: 'auto' }, changed);
      const state = asking(t('status'), {}, changed, h('select', { 'data-focus': 'state' },
        h('option', { value: '' }, t('allStates')), h('option', { value: 'connected' }, t('connectedState')), h('option', { value: 'away' }, t('awayState'))));
      form = h('form', { class: 'row filters', role: 'search', onsubmit: (event) => event.preventDefault() }, prefix, topic, state);
      form.query = () => Object.fromEntries([['prefix', prefix.input.value], ['topic', topic.input.value.trim()], ['state', state.input.value]].filter(([, value]) => value));
      return form;
    }

    return async () => {
      const filters = makeForm();
      const query = filters.query();
      const { items, next } = await pages('/admin/mqtt/clients', query, shown * pageSize);
      const title = head(`${t('mqttClients')} ${count(items, next)}`);
      if (!items.length && !next) return [title, filters, Object.keys(query).length ? nothing('search', t('noMatch'), t('noMatchText')) : nothing('plug', t('noClients'), t('noClientsText'))];
      return [title, filters, table(t('mqttClients'),
        [{ label: t('clientId') }, { label: t('status') }, { label: t('address') }, { label: t('subscriptions') }, { label: t('queued') }, { label: t('since') }, { label: t('actionsHead'), isTight: true }],
        items.map((item) => [
          h('span', { class: 'two-lines' }, h('span', { dir: 'auto' }, item.client), item.name ? h('small', { class: 'quiet', dir: 'auto' }, item.name) : null),
          item.connected ? tag(t('connectedState'), 'good') : tag(t('awayState')),
          item.connected ? h('span', { class: 'two-lines' }, h('span', {}, item.address || '–'), h('small', { class: 'quiet' }, `MQTT ${item.version} · ${item.transport.toUpperCase()}`)) : '–',
          number(item.subscriptions), item.queuedMessages ? `${number(item.queuedMessages)} · ${size(item.queuedBytes)}` : '0',
          when(item.connected ? item.since : item.left), clientMenu(item)])),
      more(next, () => { shown += 1; refresh(); })];
    };
  }

  function clientMenu(item) {
    const items = [{ icon: 'info', label: t('details'), run: () => showClient(item.client) }];
    if (item.connected) items.push({ icon: 'close', label: t('disconnect'), run: () => disconnect(item.client) });
    items.push({ icon: 'alert', label: t('removeSession'), danger: true, run: () => removeSession(item) });
    const name = t('clientActions', { name: item.client });
    const dots = iconButton('more', name, { 'data-focus': `client ${item.client}`, 'aria-haspopup': 'menu', 'aria-expanded': 'false', onclick: () => menu(dots, items) });
    return dots;
  }

  // The browser takes "." and ".." out of every path, so these two ids go behind it.
  const behind = (id) => (id === '.' || id === '..' ? { id } : {});
  const place = (id) => `/admin/mqtt/clients/${behind(id).id ? '-' : seg(id)}`;
  function path(id, rest = '') {
    const query = new URLSearchParams(behind(id)).toString();
    return `${place(id)}${rest}${query ? `?${query}` : ''}`;
  }

  async function disconnect(id) {
    if (await confirmDialog(t('disconnectTitle', { name: id }), t('disconnectText'), t('disconnect'), t('cancel'))) act(() => api('POST', path(id, '/kick')), t('disconnectedNow', { name: id }));
  }

  async function removeSession({ client, queuedMessages }) {
    if (await confirmDialog(t('sessionRemoveTitle', { name: client }), t('sessionRemoveText', number(queuedMessages)), t('removeSession'), t('cancel'))) act(() => api('DELETE', path(client)), t('sessionRemoved', { name: client }));
  }

  async function showClient(id) {
    try {
      const [client, { items, next }] = await Promise.all([api('GET', path(id)), pages(`${place(id)}/subscriptions`, behind(id), pageSize)]);
      const time = (text) => (text ? fullTime(new Date(text)) : '–');
      dialog(id, h('div', { class: 'stack' },
        facts([
          [t('user'), client.name || '–'],
          [t('status'), client.connected ? t('connectedState') : t('awayState')],
          client.connected ? [t('address'), `${client.address || '–'} · MQTT ${client.version} · ${client.transport.toUpperCase()}`] : null,
          [client.connected ? t('connectedSince') : t('awaySince'), time(client.connected ? client.since : client.left)],
          client.connected ? [t('lastHeard'), time(client.heard)] : null,
          client.connected ? [t('keepAlive'), client.keepAlive ? duration(client.keepAlive) : t('keepAliveOff')] : null,
          [t('session'), client.durable ? (client.expirySeconds === undefined ? t('sessionForEver') : t('sessionKept', { time: duration(client.expirySeconds) })) : t('sessionEnds')],
          [t('queued'), `${number(client.queuedMessages)} · ${size(client.queuedBytes)}`],
          [t('inFlight'), number(client.inFlight)],
          [t('messagesFromTo'), `${number(client.received)} / ${number(client.sent)}`]]),
        h('section', {}, h('h3', {}, `${t('subscriptions')} ${count(items, next)}`),
          items.length ? h('ul', { class: 'filters-list' }, items.map(({ filter, qos }) => h('li', {}, h('code', { dir: 'auto' }, filter), tag(`QoS ${qos}`)))) : h('p', { class: 'quiet' }, t('none')))),
      { closeLabel: t('close') });
    } catch (error) { report(error); }
  }

  // MARK: Retained messages

  function retainedSection() {
    let shown = 1;
    let form;
    let language;

    function makeForm() {
      if (form && language === document.documentElement.lang) return form;
      language = document.documentElement.lang;
      const filter = asking(t('topicFilter'), { 'data-focus': 'filter', placeholder: '#', dir: 'auto' }, () => { shown = 1; });
      form = h('form', { class: 'row filters', role: 'search', onsubmit: (event) => event.preventDefault() }, filter);
      form.filter = () => filter.input.value.trim() || '#';
      form.fail = filter.fail;
      return form;
    }

    return async () => {
      const search = makeForm();
      const filter = search.filter();
      let found;
      try {
        found = await pages('/admin/mqtt/retained', { filter }, shown * pageSize);
        search.fail(null);
      } catch (error) {
        if (error.code !== 'payload_invalid') throw error;
        // What is being typed is no filter yet.
        search.fail(t('filterBad'));
        found = { items: [] };
      }
      const { items, next } = found;
      const clear = items.length ? button(t('clearAll'), { class: 'plain danger-text', 'data-focus': 'clear', onclick: () => clearAll(filter) }) : null;
      const title = head(`${t('retainedMessages')} ${count(items, next)}`, ...(clear ? [clear] : []));
      if (!items.length && !next) return [title, search, filter === '#' ? nothing('pin', t('noRetained'), t('noRetainedText')) : nothing('search', t('noMatch'), t('noMatchText'))];
      return [title, search, table(t('retainedMessages'),
        [{ label: t('topic') }, { label: t('payloadSize') }, { label: 'QoS' }, { label: t('contentType') }, { label: t('expires') }, { label: t('actionsHead'), isTight: true }],
        items.map((item) => [h('span', { class: 'topic', dir: 'auto' }, item.topic), size(item.size), String(item.qos), item.contentType ?? '–',
          item.expiresIn === undefined ? t('never') : t('inTime', { time: duration(item.expiresIn) }), retainedMenu(item)])),
      more(next, () => { shown += 1; refresh(); })];
    };
  }

  function retainedMenu({ topic }) {
    const dots = iconButton('more', t('topicActions', { name: topic }), { 'data-focus': `topic ${topic}`, 'aria-haspopup': 'menu', 'aria-expanded': 'false',
      onclick: () => menu(dots, [{ icon: 'eye', label: t('showPayload'), run: () => showRetained(topic) }, { icon: 'close', label: t('clearOne'), danger: true, run: () => clearOne(topic) }]) });
    return dots;
  }

  const message = (topic) => `/admin/mqtt/retained/message?${new URLSearchParams({ topic })}`;

  async function clearOne(topic) {
    if (await confirmDialog(t('clearOneTitle'), t('clearOneText', { name: topic }), t('clearOne'), t('cancel'))) act(() => api('DELETE', message(topic)), t('cleared', 1));
  }

  async function clearAll(filter) {
    if (!(await confirmDialog(t('clearAllTitle', { name: filter }), t('clearAllText'), t('clearAll'), t('cancel')))) return;
    try {
      const { cleared } = await api('DELETE', `/admin/mqtt/retained?${new URLSearchParams({ filter })}`);
      toast(t('cleared', cleared));
    } catch (error) { report(error); }
    refresh();
  }

  async function showRetained(topic) {
    try {
      const found = await api('GET', message(topic));
      const isText = found.text !== undefined;
      dialog(topic, h('div', { class: 'stack' },
        facts([[t('payloadSize'), size(found.size)], ['QoS', String(found.qos)], found.contentType ? [t('contentType'), found.contentType] : null,
          [t('expires'), found.expiresIn === undefined ? t('never') : t('inTime', { time: duration(found.expiresIn) })],
          ...found.userProperties.map(({ name, value }) => [name, value])]),
        h('section', {}, h('h3', {}, t(isText ? 'payloadText' : 'payloadBase64')),
          h('pre', { class: 'payload', tabindex: 0, 'aria-label': t(isText ? 'payloadText' : 'payloadBase64'), dir: 'auto' }, isText ? found.text : found.base64),
          found.shown < found.size ? h('p', { class: 'hint' }, t('payloadCut', { shown: size(found.shown) })) : null)),
      { closeLabel: t('close') });
    } catch (error) { report(error); }
  }

  return {
    clients: { icon: 'plug', draw: clientSection(), label: 'mqttClients' },
    retained: { icon: 'pin', draw: retainedSection(), label: 'retainedMessages' },
  };
}
