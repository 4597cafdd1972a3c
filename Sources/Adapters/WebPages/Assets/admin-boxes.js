// The administrator's section about the federation: this box and its sister boxes, how they are, and how boxes come in and go.

import { api, seg } from './api.js';
import { button, confirmDialog, copyText, dialog, field, h, hidden, icon, iconButton, menu, toast } from './dom.js';
import { passwordField } from './gate.js';
import { duration, errorText, fullTime, language, number, percent, size, t } from './i18n.js';
import { qrImage } from './qr.js';

const report = (error) => toast(errorText(error), 'error');
const passphraseLeast = 12;
const recoveryBytesMost = 100_000;
const followMilliseconds = 2000; // while somebody waits in a dialog for another box
const clockOffsetMost = 2000;
const full = 0.9;
const loadShare = (load) => Math.max(load.connectionsMax ? load.connections / load.connectionsMax : 0, load.memory, load.descriptors, load.processor, load.loopLagMilliseconds / 50);
const hostOf = ({ address, port }) => `${address.includes(':') ? `[${address}]` : address}:${port}`;
const optional = (call) => call.catch((error) => { if (['not_found', 'unavailable'].includes(error.code)) return null; throw error; });

/** The section, drawn with the pieces of the page it stands on. */
export function boxPages({ refresh, head, nothing, when, tag, health }) {
  const openDetails = new Set(); // boxes whose details are unfolded: a redraw keeps them so
  let follow = null;             // hears of every new state while a dialog waits for one
  let followTimer;
  let latest = { items: [], candidates: [] };

  return { pages: { boxes: { icon: 'boxes', draw, label: 'boxes' } }, problems };

  /** What the overview says of other boxes: those that wait to be let in, and those with which something is wrong. */
  async function problems() {
    const [boxes, waiting] = await Promise.all([optional(api('GET', '/admin/boxes')), optional(api('GET', '/admin/federation/candidates'))]);
    const knocking = (waiting?.items ?? []).filter(({ state: at }) => at === 'waiting');
    const others = boxes?.items.filter(({ isSelf, standing }) => !isSelf && standing !== 'removed') ?? [];
    nameApart(others);
    const more = () => h('a', { href: '#/boxes' }, t('boxesShow'));
    return [
      ...(knocking.length ? [health('warn', 'link', t('boxesKnocking', knocking.length), [knocking.map(({ name }) => name).join(t('listComma')), ' · ', more()])] : []),
      ...others.flatMap((item) => {
        const trouble = troubleOf(item);
        return trouble ? [health(trouble.isBad ? 'bad' : 'warn', 'boxes', t('boxSays', { name: item.name, text: trouble.text }), [trouble.remedy, ' ', more()])] : [];
      }),
    ];
  }

  async function draw() {
    const [{ items }, federation, waiting] = await Promise.all([
      api('GET', '/admin/boxes'), optional(api('GET', '/admin/federation')), optional(api('GET', '/admin/federation/candidates'))]);
    nameApart(items);
    latest = { ...federation, items, candidates: waiting?.items ?? [] };
    follow?.(latest);
    const { candidates } = latest;
    const members = items.filter(({ standing }) => standing !== 'removed');
    const removed = items.filter(({ standing }) => standing === 'removed');
    const isLone = members.length < 2;
    // The first invitation founds the federation, and makes this box its issuer.
    const mayPair = Boolean(federation && (federation.issuer || !federation.federation));
    const troubled = members.filter((item) => troubleOf(item));
    return [
      head(isLone ? t('boxes') : `${t('boxes')} (${number(members.length)})`, h('div', { class: 'row' },
        federation && !federation.federation ? button(t('boxJoin'), { class: 'plain', 'data-focus': 'join', onclick: join }, icon('link'), t('boxJoin')) : null,
        mayPair ? button(t('boxAdd'), { class: 'primary', 'data-focus': 'add', onclick: invite }, icon('plus'), t('boxAdd')) : null)),
      !federation ? health('plain-note', 'info', t('boxOff'), t('boxOffText'))
        : isLone ? health('plain-note', 'info', t('boxLone'), t('boxLoneText'))
        : troubled.length ? health('warn', 'alert', t('boxesAttention', troubled.length), troubled.map(({ name }) => name).join(t('listComma')))
          : health('', 'check', t('boxesWell'), t('boxesWellText')),
      !federation || mayPair ? null : h('p', { class: 'hint spaced' }, t('boxNoIssuer')),
      candidateList(candidates.filter(({ state }) => state !== 'nearby'), t('boxesWaiting'), t('boxesWaitingText')),
      h('ul', { class: 'boxes', 'aria-label': t('boxes') }, members.map((item) => card(item, members))),
      candidateList(candidates.filter(({ state }) => state === 'nearby'), t('boxesNearby'), t('boxesNearbyText')),
      removed.length ? h('details', { class: 'spaced', open: openDetails.has('removed'), ontoggle: (event) => unfold('removed', event.currentTarget.open) },
        h('summary', { 'data-focus': 'removed' }, `${t('boxesRemoved')} (${number(removed.length)})`),
        h('ul', { class: 'rows' }, removed.map((item) => h('li', {}, h('span', { class: 'two-lines' }, h('span', { dir: 'auto' }, item.name), h('small', { class: 'quiet', dir: 'auto' }, item.reason || item.box)))))) : null,
      federation?.federation ? h('div', { class: 'row spaced' }, federation.issuer ? button(t('boxRecovery'), { class: 'plain', 'data-focus': 'recovery', onclick: recovery }, icon('file'), t('boxRecovery'))
        : button(t('boxRestore'), { class: 'plain', 'data-focus': 'restore', onclick: restore }, icon('file'), t('boxRestore'))) : null,
    ];
  }

  /** Boxes that were never given a name of their own may all be called the same. */
  function nameApart(items) {
    const names = items.map((item) => item.name);
    for (const item of items) {
      if (!item.name) item.name = item.box;
      else if (names.filter((name) => name === item.name).length > 1) item.name += ` · ${item.box.slice(0, 4)}`;
    }
  }

  function unfold(key, isOpen) {
    if (isOpen) openDetails.add(key);
    else openDetails.delete(key);
  }

  // MARK: One box

  /** What is wrong with a box, `{text, remedy, isBad}`. The box says it in English; what this page can tell by itself it tells in every language. */
  function troubleOf(item) {
    const reason = item.quarantine ?? item.sync?.quarantine;
    const isDown = item.liveness === 'down' && !item.isSelf;
    const said = item.trouble ? { text: item.trouble, remedy: item.remedy, isBad: Boolean(reason) || isDown } : null;
    return language === 'en' ? said ?? seenTrouble(item, reason) : seenTrouble(item, reason) ?? said;
  }

  function seenTrouble(item, reason) {
    if (['rollback', 'clone', 'clock', 'version'].includes(reason)) return { text: t(`quarantine_${reason}`), remedy: t(`quarantine_${reason}_do`), isBad: true };
    if (!item.isSelf && ['down', 'suspect', 'unreachable'].includes(item.liveness)) return { text: t(`box_${item.liveness}_text`), remedy: t(`box_${item.liveness}_do`), isBad: item.liveness === 'down' };
    if (item.load?.isDiskLow) return { text: t('boxDiskLow'), remedy: t('boxDiskLowDo'), isBad: true };
    if (item.clock === 'unset' && hasNews(item)) return { text: t('boxClockUnset'), remedy: t('boxClockUnsetDo'), isBad: false };
    return null;
  }

  /** Whether its figures are of now. */
  function hasNews(item) { return item.isSelf || !['down', 'unknown'].includes(item.liveness); }

  /** Held of known, never rounded up to all of it. */
  function inSync({ entriesHeld, entriesKnown }) {
    const [held, known] = [Number(entriesHeld ?? 0), Number(entriesKnown ?? 0)];
    if (known <= 0) return 1;
    return held >= known ? 1 : Math.min(0.999, Math.floor((held / known) * 1000) / 1000);
  }

  function state(item) {
    if (item.isSelf) return tag([icon('check'), t('boxHere')], 'good');
    const [drawing, kind] = { alive: ['check', 'good'], suspect: ['clock', 'warn'], leaving: ['clock', ''], unreachable: ['warning', 'warn'], down: ['close', 'bad'] }[item.liveness] ?? ['clock', ''];
    return tag([icon(drawing), t(`box_${item.liveness in { alive: 1, suspect: 1, leaving: 1, unreachable: 1, down: 1 } ? item.liveness : 'unknown'}`)], kind);
  }

  function meter(share, isLow) {
    const bar = h('span', {});
    bar.style.width = `${Math.round(100 * Math.max(0, Math.min(1, share)))}%`;
    return h('div', { class: `meter ${isLow ? 'warn' : ''}`, 'aria-hidden': 'true' }, bar);
  }

  function value(label, text, more, extra) { return h('div', { class: 'fact' }, h('dt', {}, label), h('dd', {}, text), more ? h('dd', { class: 'more' }, more) : null, extra); }

  function card(item, members) {
    const isLone = members.length < 2;
    const heading = `box-${item.box}`;
    const trouble = troubleOf(item);
    const share = inSync(item);
    const missing = Math.max(0, Number(item.entriesKnown ?? 0) - Number(item.entriesHeld ?? 0));
    const backlog = Number(item.backlogEntries ?? 0);
    const { load } = item;
    const seen = item.lastSeen;
    return h('li', { class: 'box-card', 'aria-labelledby': heading },
      h('header', {}, h('span', { class: 'big-icon' }, icon('boxes')),
        h('div', {}, h('h3', { id: heading, dir: 'auto' }, item.name), h('p', { class: 'tags' }, state(item),
          item.isSelf ? null : item.liveness !== 'alive' && seen ? h('span', { class: 'quiet' }, t('boxLastSeen'), ' ', when(seen)) : null,
          item.isDraining ? tag([icon('down'), t('boxDraining')], 'warn') : null, item.isIssuer && !isLone ? tag(t('boxIssuer')) : null)),
        actions(item, members)),
      trouble ? health(trouble.isBad ? 'bad' : 'warn', 'alert', trouble.text, trouble.remedy) : null,
      h('dl', { class: 'box-facts' },
        isLone ? null : value(t('boxInSync'), percent(share), missing ? t('boxMissing', number(missing)) : t('boxAllEntries'), meter(share, share < 1)),
        isLone || item.isSelf ? null : value(t('boxBacklog'), backlog ? t('boxEntries', number(backlog)) : t('boxNothingWaits'),
          backlog ? `${size(item.backlogBytes ?? 0)} · ${t('boxOldest', { time: duration(Number(item.backlogSeconds ?? 0)) })}` : null),
        value(t('clock'), hasNews(item) ? t(`clock_${['ntp', 'set'].includes(item.clock) ? item.clock : 'unset'}`) : '–', offsetText(item)),
        value(t('peopleOnline'), number(item.onlineUsers ?? 0), load?.connectionsMax ? t('boxConnections', { n: number(load.connections), most: number(load.connectionsMax) }) : load ? t('boxConnectionsOnly', number(load.connections)) : null),
        load ? value(t('boxLoad'), percent(loadShare(load)), t('boxLoadDetail', { cpu: percent(load.processor), memory: percent(load.memory) }), meter(loadShare(load), loadShare(load) > full)) : null,
        value(t('version'), item.version ?? '–')),
      h('details', { open: openDetails.has(item.box), ontoggle: (event) => unfold(item.box, event.currentTarget.open) },
        h('summary', { 'data-focus': `details ${item.box}` }, t('boxMore'), hidden(`: ${item.name}`)),
        h('dl', { class: 'facts' }, [
          [t('box'), h('code', {}, item.box)],
          seen && !item.isSelf ? [t('lastHeard'), fullTime(new Date(seen))] : null,
          load ? [t('boxLoadAll'), t('boxLoadFull', { fd: percent(load.descriptors), lag: number(Math.round(load.loopLagMilliseconds)), weight: number(load.weight) })] : null,
          [t('boxEndpoints'), item.endpoints?.length ? h('ul', { class: 'endpoints' }, item.endpoints.map((endpoint) => h('li', {}, endpointText(endpoint)))) : '–'],
        ].filter(Boolean).map(([label, text]) => h('div', {}, h('dt', {}, label), h('dd', {}, text))))));
  }


  function endpointText(endpoint) {
    const address = typeof endpoint === 'string' ? endpoint : `${endpoint.kind}://${hostOf(endpoint)}`;
    return /^https?:/.test(address) ? h('a', { href: `${address.replace(/\/$/, '')}/admin#/boxes`, rel: 'noreferrer' }, address) : h('code', {}, address);
  }

  function offsetText(item) {
    if (item.isSelf || item.clockOffsetMilliseconds === undefined || !hasNews(item)) return null;
    const offset = Number(item.clockOffsetMilliseconds);
    if (Math.abs(offset) < clockOffsetMost) return t('clockSame');
    return t(offset > 0 ? 'clockAhead' : 'clockBehind', { time: duration(Math.abs(offset) / 1000) });
  }

  function actions(item, members) {
    const items = [];
    if (item.isSelf && members.length > 1) {
      items.push(item.isDraining ? { icon: 'check', label: t('drainEnd'), run: () => drain(item, false) } : { icon: 'down', label: t('drain'), run: () => drain(item, true) });
    }
    if (!item.isSelf && latest.issuer) {
      items.push({ icon: 'close', label: t('boxRetire'), run: () => retire(item) }, { icon: 'alert', label: t('boxLost'), danger: true, run: () => revoke(item) });
    }
    if (!items.length) return null;
    const dots = iconButton('more', t('boxActions', { name: item.name }), { 'data-focus': `box ${item.box}`, 'aria-haspopup': 'menu', 'aria-expanded': 'false', onclick: () => menu(dots, items) });
    return dots;
  }

  // MARK: Boxes that want to join

  function words(text, label) {
    return h('div', { class: 'words' }, h('p', { class: 'quiet' }, label), h('ol', {}, String(text ?? '').split(/[\s-]+/).filter(Boolean).map((word) => h('li', { lang: 'en' }, word))));
  }

  function candidateList(items, title, text) {
    if (!items.length) return null;
    return h('section', { class: 'candidates', 'aria-label': title }, h('h3', {}, title), h('p', { class: 'hint' }, text), h('ul', { class: 'boxes' }, items.map((item) => candidate(item))));
  }

  function candidate(item) {
    return h('li', { class: 'box-card' },
      h('header', {}, h('span', { class: 'big-icon' }, icon('link')), h('div', {}, h('h4', { dir: 'auto' }, item.name), h('p', { class: 'quiet' }, item.address, item.since ? [' · ', when(item.since)] : null))),
      words(item.words, t('boxItsWords')),
      h('div', { class: 'row end' }, button(t('boxIgnore'), { class: 'plain', 'data-focus': `ignore ${item.box}`, 'aria-label': `${t('boxIgnore')}: ${item.name}`, onclick: () => decide(item, 'ignore') }),
        item.state === 'nearby' ? button(t('boxAdd'), { class: 'primary', 'data-focus': `add ${item.box}`, 'aria-label': `${t('boxAdd')}: ${item.name}`, onclick: invite })
          : button(t('boxApprove'), { class: 'primary', 'data-focus': `approve ${item.box}`, 'aria-label': `${t('boxApprove')}: ${item.name}`, onclick: () => decide(item, 'approve') })));
  }

  async function decide(item, what) {
    try {
      await api('POST', `/admin/federation/candidates/${seg(item.box)}/${what}`);
      toast(t(what === 'approve' ? 'boxApproved' : 'boxIgnored', { name: item.name }));
    } catch (error) { report(error); }
    refresh();
  }

  // MARK: Adding a box

  function invite() {
    const asks = h('input', { type: 'checkbox', checked: true });
    const body = h('div', { class: 'stack' },
      h('ol', { class: 'steps' }, h('li', {}, t('inviteStep1')), h('li', {}, t('inviteStep2')), h('li', {}, t('inviteStep3'))),
      h('label', { class: 'check' }, asks, h('span', {}, t('inviteAsk'), h('small', { class: 'hint' }, t('inviteAskText')))),
      h('div', { class: 'row end' }, button(t('inviteMake'), { class: 'primary', autofocus: true, onclick: make })));
    let timer;
    const box = dialog(t('boxAdd'), body, { closeLabel: t('close'), onclose: () => { clearInterval(timer); stopFollowing(); refresh(); } });

    async function make(event) {
      const press = event.currentTarget;
      press.disabled = true;
      try { show(await api('POST', '/admin/federation/invites', { waits: asks.checked }), asks.checked); } catch (error) { press.disabled = false; report(error); }
    }

    function show({ token, expires, words: own, addresses }, waits) {
      const known = new Set(latest.items.map((item) => item.box));
      const input = h('textarea', { class: 'token', rows: 4, readonly: true, 'aria-label': t('inviteToken'), onfocus: (event) => event.target.select() }, token);
      const copy = button(t('copy'), { class: 'primary', onclick: () => copyText(token).then(() => toast(t('copied')), () => { input.select(); toast(t('copyFailed'), 'error'); }) });
      const left = h('p', { class: 'countdown', role: 'timer' });
      const news = h('div', { 'aria-live': 'polite', class: 'stack' }, h('p', { class: 'quiet' }, t(waits ? 'inviteWaits' : 'inviteOpen')));
      const until = new Date(expires).getTime();
      const shown = h('div', { class: 'stack' }, h('p', {}, t('inviteTokenText')), h('div', { class: 'linkbox' }, input, copy), left, qrImage(token, t('inviteTokenQr')));
      body.replaceChildren(shown, addresses?.length ? h('p', { class: 'hint' }, t('inviteAddresses', { list: addresses.join(t('listComma')) })) : '', words(own, t('boxOwnWordsCompare')), news);
      copy.focus();
      const count = () => {
        const seconds = Math.ceil((until - Date.now()) / 1000);
        left.textContent = seconds > 0 ? t('inviteLeft', { time: `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}` }) : t('inviteOver');
        if (seconds > 0) return;
        clearInterval(timer);
        shown.replaceChildren(h('div', { class: 'problem', role: 'alert' }, t('inviteOver')), h('div', { class: 'row end' }, button(t('inviteAgain'), { class: 'primary', onclick: make })));
      };
      clearInterval(timer);
      timer = setInterval(count, 1000);
      count();
      startFollowing(({ items, candidates }) => {
        const joined = items.find((item) => !known.has(item.box) && item.standing !== 'removed');
        if (joined) {
          clearInterval(timer);
          stopFollowing();
          body.replaceChildren(health('', 'check', t('boxJoined', { name: joined.name }), t('boxJoinedText'), 'status'), h('div', { class: 'row end' }, button(t('close'), { class: 'primary', autofocus: true, onclick: () => box.close() })));
          body.querySelector('button').focus();
          return;
        }
        const waiting = candidates.filter(({ state: at }) => at !== 'nearby');
        // The token has done its work, and what is to be decided now needs the room.
        shown.hidden = waiting.length > 0;
        const sign = JSON.stringify(waiting.map((item) => item.box));
        if ((news.dataset.sign ?? '[]') === sign) return;
        news.dataset.sign = sign;
        if (!waiting.length) news.replaceChildren();
        else news.replaceChildren(h('h3', {}, t('boxesWaiting')), h('p', { class: 'hint' }, t('boxesWaitingText')), h('ul', { class: 'boxes' }, waiting.map((item) => candidate(item))));
      });
    }
  }

  function startFollowing(hear) { stopFollowing(); follow = hear; followTimer = setInterval(refresh, followMilliseconds); }
  function stopFollowing() { follow = null; clearInterval(followTimer); }

  function join() {
    const own = h('div', { class: 'stack' });
    const token = field(t('inviteToken'), {}, { hint: t('joinHint'), control: h('textarea', { rows: 4, class: 'token', autofocus: true, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }) });
    const submit = h('button', { type: 'submit', class: 'primary' }, t('joinDo'));
    const progress = h('div', { role: 'status', class: 'stack' });
    let isOpen = true;
    const form = h('form', {
      class: 'stack', novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        const text = token.input.value.trim();
        token.fail(text ? null : t('joinMissing'));
        if (!text) { token.input.focus(); return; }
        submit.disabled = true;
        progress.replaceChildren(h('p', { class: 'quiet' }, t('joinConnecting')));
        try {
          for (let answer = await api('POST', '/admin/federation/join', { token: text }); isOpen; answer = (await api('GET', '/admin/federation')).progress ?? {}) {
            if (step(answer)) break;
            await new Promise((resolve) => { setTimeout(resolve, followMilliseconds); });
          }
        } catch (error) { fail(language !== 'en' && error.code === 'payload_invalid' ? t('joinBad') : errorText(error)); }
      },
    }, h('p', {}, t('joinText')), token, progress, h('div', { class: 'row end' }, submit));
    const box = dialog(t('boxJoin'), h('div', { class: 'stack' }, form, own), { closeLabel: t('close'), onclose: () => { isOpen = false; refresh(); } });
    if (latest.words) own.replaceChildren(words(latest.words, t('boxOwnWordsTell')), announce());

    /** For an administrator who wants to find this box in a list instead of asking for its address. */
    function announce() {
      const tick = h('input', { type: 'checkbox', onchange: async () => {
        try { await api('POST', '/admin/federation/announce', { on: tick.checked }); } catch (error) { tick.checked = false; report(error); }
      } });
      return h('label', { class: 'check' }, tick, h('span', {}, t('joinAnnounce'), h('small', { class: 'hint' }, t('joinAnnounceText'))));
    }

    function fail(text) {
      submit.disabled = false;
      token.hidden = submit.hidden = false;
      progress.replaceChildren();
      token.fail(text);
      token.input.focus();
    }

    /** Shows how far it is; true when there is nothing more to wait for. */
    function step(answer) {
      switch (answer.state) {
        case 'failed': fail(errorText(answer)); return true;
        case 'connecting': return false;
        case 'waiting':
          token.hidden = submit.hidden = true;
          progress.replaceChildren(h('p', {}, t('joinWaiting', { name: answer.name ?? '' })), answer.words ? words(answer.words, t('joinTheirWords', { name: answer.name ?? '' })) : '');
          return false;
        default:
          box.close();
          toast(t('joined', { name: answer.name ?? '' }));
          return true;
      }
    }
  }

  // MARK: Draining, retiring, losing

  async function drain(item, on) {
    if (on && !(await confirmDialog(t('drainTitle', { name: item.name }), t('drainText'), t('drain'), t('cancel'), { danger: false }))) return;
    try {
      await api('POST', '/admin/drain', { on });
      toast(t(on ? 'drainOn' : 'drainOff', { name: item.name }));
    } catch (error) { report(error); }
    refresh();
  }

  /** What must hold before a box can leave without losing anything, and whether it does, as far as this box sees. */
  function leaveChecks(item) {
    const ahead = Number(item.sync?.ahead ?? item.ahead ?? 0);
    return [
      [item.liveness === 'alive', t('retireReachable')],
      [item.liveness === 'alive' && ahead === 0, ahead ? t('retireAhead', number(ahead)) : t('retireHeld')],
      [item.onlineUsers === 0 || item.isDraining, t('retirePeople', number(item.onlineUsers ?? 0))],
    ];
  }

  function retire(item) {
    const checks = leaveChecks(item);
    const isSafe = checks[0][0] && checks[1][0];
    const problem = h('div', { role: 'alert' });
    const go = button(t('boxRetire'), { class: 'danger', disabled: !isSafe, onclick: async () => {
      go.disabled = true;
      try { await remove(item, { lost: false, reason: '' }); box.close(); toast(t('retired', { name: item.name })); } catch (error) {
        go.disabled = false;
        problem.replaceChildren(h('p', { class: 'problem' }, errorText(error)));
      }
    } });
    const box = dialog(t('retireTitle', { name: item.name }), h('div', { class: 'stack' }, h('p', {}, t('retireText')),
      h('ul', { class: 'checks' }, checks.map(([holds, text], index) => h('li', { class: holds ? 'good' : index < 2 ? 'bad' : 'warn' }, icon(holds ? 'check' : index < 2 ? 'close' : 'warning'), h('span', {}, hidden(`${t(holds ? 'checkYes' : 'checkNo')}: `), text)))),
      isSafe ? null : h('p', { class: 'problem' }, t('retireUnsafe')), problem,
      h('div', { class: 'row end' }, button(t('cancel'), { class: 'plain', autofocus: true, onclick: () => box.close() }), go)), { closeLabel: t('cancel'), className: 'small' });
  }

  async function remove(item, { lost, reason }) {
    await api('DELETE', `/admin/boxes/${seg(item.box)}?${new URLSearchParams({ lost, ...(reason ? { reason } : {}) })}`);
    refresh();
  }

  function revoke(item) {
    const reason = field(t('lostReason'), { maxlength: 120, autocomplete: 'off', dir: 'auto' }, { hint: t('lostReasonHint') });
    const typed = field(t('lostType', { name: item.name }), { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', dir: 'auto' });
    const form = h('form', {
      class: 'stack', novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        const isSame = typed.input.value.trim() === item.name.trim();
        typed.fail(isSame ? null : t('lostTypeBad'));
        if (!isSame) { typed.input.focus(); return; }
        try { await remove(item, { lost: true, reason: reason.input.value.trim() }); } catch (error) { report(error); return; }
        body.replaceChildren(health('', 'check', t('lostDone', { name: item.name }), t('lostDoneText'), 'status'), advice(), h('div', { class: 'row end' }, button(t('close'), { class: 'primary', onclick: () => box.close() })));
        body.querySelector('.row button').focus();
      },
    }, h('p', {}, t('lostText')), advice(), reason, typed, h('div', { class: 'row end' }, button(t('cancel'), { class: 'plain', autofocus: true, onclick: () => box.close() }), h('button', { type: 'submit', class: 'danger' }, t('lostDo'))));
    const body = h('div', { class: 'stack' }, form);
    const box = dialog(t('lostTitle', { name: item.name }), body, { closeLabel: t('cancel') });
  }

  function advice() { return h('div', { class: 'health warn' }, icon('alert'), h('div', {}, h('h3', {}, t('lostAdvice')), h('ul', { class: 'bullets' }, h('li', {}, t('lostAdvice1')), h('li', {}, t('lostAdvice2')), h('li', {}, t('lostAdvice3'))))); }

  // MARK: The recovery file

  function restore() {
    const file = field(t('boxRecovery'), { type: 'file', accept: '.txt,text/plain', autofocus: true });
    const phrase = passwordField(t('passphrase'), { autocomplete: 'off' });
    const form = h('form', {
      class: 'stack', novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        const [chosen] = file.input.files;
        file.fail(!chosen || chosen.size > recoveryBytesMost ? t('restoreMissing') : null);
        phrase.fail(phrase.input.value ? null : t('passwordEmpty'));
        const wrong = form.querySelector('[aria-invalid]');
        if (wrong) { wrong.focus(); return; }
        try {
          await api('POST', '/admin/federation/restore', { file: await chosen.text(), passphrase: phrase.input.value });
          box.close();
          toast(t('restored'));
          refresh();
        } catch (error) {
          phrase.fail(errorText(error));
          phrase.input.focus();
        }
      },
    }, h('p', {}, t('restoreText')), file, phrase, h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'primary' }, t('restoreDo'))));
    const box = dialog(t('boxRestore'), form, { closeLabel: t('close'), className: 'small' });
  }

  function recovery() {
    const first = passwordField(t('passphrase'), { autocomplete: 'new-password', autofocus: true }, { hint: t('passphraseHint') });
    const again = passwordField(t('passphraseAgain'), { autocomplete: 'new-password' });
    const form = h('form', {
      class: 'stack', novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        first.fail([...first.input.value].length < passphraseLeast ? t('passphraseShort') : null);
        again.fail(first.input.value === again.input.value ? null : t('passphraseOther'));
        const wrong = form.querySelector('[aria-invalid]');
        if (wrong) { wrong.focus(); return; }
        try {
          const { file, name = 'skerry-recovery.txt' } = await api('POST', '/admin/federation/recovery', { passphrase: first.input.value });
          const address = URL.createObjectURL(new Blob([file], { type: 'text/plain' }));
          h('a', { href: address, download: name }).click();
          setTimeout(() => URL.revokeObjectURL(address), 60_000);
          box.close();
          toast(t('recoveryDone'));
        } catch (error) { report(error); }
      },
    }, h('p', {}, t('recoveryText')), first, again, h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'primary' }, t('recoveryDo'))));
    const box = dialog(t('boxRecovery'), form, { closeLabel: t('close'), className: 'small' });
  }
}
