// The administrator's section about access rules: who may publish and subscribe which MQTT topics, and a place to ask "may they?".

import { api, seg } from './api.js';
import { button, confirmDialog, dialog, field, h, icon, toast } from './dom.js';
import { errorText, number, t } from './i18n.js';

const report = (error) => toast(errorText(error), 'error');

/** The section, drawn with the pieces of the page it stands on. */
export function accessPages({ refresh, table, head, nothing, when, tag }) {
  const roles = { user: 'accessUsers', admin: 'accessAdmins', anonymous: 'accessAnonymous' };
  const verbs = { publish: 'accessPublish', subscribe: 'accessSubscribe', all: 'accessBoth' };
  function who(item) { return item.role ? t(roles[item.role]) : h('span', { dir: 'auto' }, item.name ?? item.user); }
  function verb(name) { return t(verbs[name]); }
  const choice = (label, pairs, props = {}) => field(label, {}, { control: h('select', props, pairs.map(([value, text]) => h('option', { value }, text))) });
  const plain = { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', dir: 'auto' };

  return { access: { icon: 'people', draw, label: 'accessRules' } };

  async function draw() {
    const { items } = await api('GET', '/admin/access/rules');
    const title = head(items.length ? `${t('accessRules')} (${number(items.length)})` : t('accessRules'),
      h('div', { class: 'row' }, button(t('accessTest'), { class: 'plain', 'data-focus': 'test', onclick: test }),
        button(t('accessAdd'), { class: 'primary', 'data-focus': 'add', onclick: add }, icon('plus'), t('accessAdd'))));
    const note = h('p', { class: 'hint' }, t('accessText'));
    if (!items.length) return [title, h('div', { class: 'stack' }, note, nothing('people', t('accessNone'), t('accessNoneText')))];
    return [title, h('div', { class: 'stack' }, note, table(t('accessRules'),
      [{ label: t('accessWho') }, { label: t('accessEffect') }, { label: t('accessVerb') }, { label: t('topicFilter') }, { label: t('created') }, { label: t('actionsHead'), isTight: true }],
      items.map((item) => [
        who(item), item.effect === 'deny' ? tag(t('accessDeny'), 'bad') : tag(t('accessAllow'), 'good'), verb(item.access), h('code', { dir: 'auto' }, item.filter),
        when(item.created), button(t('accessRemove'), { class: 'link', 'data-focus': `rule ${item.id}`, onclick: () => remove(item) })])))];
  }

  async function remove(item) {
    if (!(await confirmDialog(t('accessRemoveTitle'), t('accessRemoveText', { name: item.filter }), t('accessRemove'), t('cancel')))) return;
    try { await api('DELETE', `/admin/access/rules/${seg(item.id)}`); toast(t('accessRemoved')); } catch (error) { report(error); }
    refresh();
  }

  /** The field for a name belongs to one of the choices; the rest of the time it is not there. */
  function subject(label, others, isFirst) {
    const kind = choice(label, [['@', t('accessOneUser')], ...others], { autofocus: isFirst });
    const name = field(t('name'), plain);
    kind.input.addEventListener('change', () => { name.hidden = kind.input.value !== '@'; });
    return { kind, name };
  }

  function add() {
    const { kind, name } = subject(t('accessWho'), Object.entries(roles).map(([role, text]) => [role, t(text)]), true);
    const isUser = () => kind.input.value === '@';
    const effect = choice(t('accessEffect'), [['allow', t('accessAllow')], ['deny', t('accessDeny')]]);
    const access = choice(t('accessVerb'), [['all', verb('all')], ['publish', verb('publish')], ['subscribe', verb('subscribe')]]);
    const filter = field(t('topicFilter'), plain, { hint: t('accessFilterHint') });
    const form = h('form', {
      class: 'stack', novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        name.fail(isUser() && !name.input.value.trim() ? t('accessNameMissing') : null);
        filter.fail(filter.input.value ? null : t('accessFilterMissing'));
        const wrong = form.querySelector('[aria-invalid]');
        if (wrong) { wrong.focus(); return; }
        const about = isUser() ? { user: `@${name.input.value.trim()}` } : { role: kind.input.value };
        try {
          await api('POST', '/admin/access/rules', { ...about, effect: effect.input.value, access: access.input.value, filter: filter.input.value });
          box.close();
          toast(t('accessAdded'));
          refresh();
        } catch (error) {
          const at = { not_found: [name, t('accessNobody')], conflict: [filter, t('accessKnown')], payload_invalid: [filter, errorText(error)] }[error.code];
          if (!at) { report(error); return; }
          at[0].fail(at[1]);
          at[0].input.focus();
        }
      },
    }, kind, name, h('div', { class: 'row' }, effect, access), filter, h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'primary' }, t('accessAdd'))));
    const box = dialog(t('accessAdd'), form, { closeLabel: t('close') });
  }

  function test() {
    const { kind, name } = subject(t('accessWho'), [['anonymous', t('accessAnonymous')]], true);
    const isUser = () => kind.input.value === '@';
    const client = field(t('clientId'), plain, { hint: t('accessClientHint') });
    const access = choice(t('accessVerb'), [['publish', verb('publish')], ['subscribe', verb('subscribe')]]);
    const topic = field(t('topic'), plain);
    const result = h('div', { role: 'status' });
    const form = h('form', {
      class: 'stack', novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        name.fail(isUser() && !name.input.value.trim() ? t('accessNameMissing') : null);
        topic.fail(topic.input.value ? null : t('accessFilterMissing'));
        const wrong = form.querySelector('[aria-invalid]');
        if (wrong) { wrong.focus(); return; }
        const query = { access: access.input.value, topic: topic.input.value, ...(isUser() ? { user: `@${name.input.value.trim()}` } : {}), ...(client.input.value ? { client: client.input.value } : {}) };
        try {
          const answer = await api('GET', `/admin/access/check?${new URLSearchParams(query)}`);
          result.replaceChildren(h('div', { class: `health ${answer.allowed ? '' : 'bad'}` }, icon(answer.allowed ? 'check' : 'alert'), h('div', {},
            h('h3', {}, t(answer.allowed ? 'accessYes' : 'accessNo')),
            h('p', { dir: 'auto' }, answer.rule ? [who(answer.rule), ' · ', t(answer.rule.effect === 'deny' ? 'accessDeny' : 'accessAllow'), ' · ', verb(answer.rule.access), ' · ', h('code', {}, answer.rule.filter)] : t('accessNoRule')))));
        } catch (error) {
          result.replaceChildren();
          if (error.code === 'not_found') { name.fail(t('accessNobody')); name.input.focus(); } else report(error);
        }
      },
    }, kind, name, client, access, topic, h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'primary' }, t('accessTest'))), result);
    dialog(t('accessTest'), form, { closeLabel: t('close') });
  }
}
