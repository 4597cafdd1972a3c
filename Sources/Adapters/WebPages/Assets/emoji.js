// A small emoji picker that works with the arrow keys, and the question whether a text is nothing but emoji.

import { h, icon, popup, roving } from './dom.js';
import { t } from './i18n.js';
import { loadJSON, save } from './storage.js';

export const quick = ['👍', '❤️', '😂', '😮', '😢', '🙏'];
const columns = 8;
const groups = [
  ['emojiFaces', '😀 😃 😄 😁 😅 😂 🤣 😊 🙂 😉 😍 😘 😋 😜 🤔 🤗 🤭 😐 😏 🙄 😬 😌 😴 😷 🤒 😎 🥳 😕 😟 😮 😳 🥺 😢 😭 😱 😡 😤 💀 💩 🤖'],
  ['emojiHands', '👍 👎 👌 ✌️ 🤞 🤝 👏 🙌 🙏 💪 👋 ✋ 👆 👇 👈 👉 ✊ 👊 🤙 ✍️ 👀 🧠 👶 👧 👦 👩 👨 🧓'],
  ['emojiNature', '🐶 🐱 🐼 🐯 🐟 🐬 🦀 🐚 🐦 🦉 🐝 🦋 🌱 🌲 🌴 🌾 🌸 🌻 🌊 🔥 ⭐ 🌙 ☀️ ⛅ 🌧️ ❄️ 🌈 🏝️'],
  ['emojiFood', '🍎 🍌 🍉 🍇 🍓 🍅 🥕 🌽 🍞 🧀 🥚 🍚 🍜 🥟 🍕 🍔 🍣 🍰 🍪 🍫 ☕ 🍵 🍺 🥂'],
  ['emojiThings', '🎉 🎁 🎈 🏆 ⚽ 🏀 🎵 🎸 📷 📱 💻 🔋 💡 🔧 🔨 🔑 🔒 📦 📍 🗺️ ⚓ ⛵ 🚤 🚲 🚗 🚌 ✈️ 🚀 🏠 ⏰ 📅 📌 ✏️ 📎 📖 💰'],
  ['emojiSigns', '❤️ 🧡 💛 💚 💙 💜 🖤 💔 ✅ ❌ ❓ ❗ ⚠️ 🚫 💯 ➕ ➖ 🔄 🆗 🆘 💬 💤 ♻️ 🔔'],
].map(([key, list]) => [key, list.split(' ')]);

const recentKey = 'skerry.emoji';
const recent = () => (Array.isArray(loadJSON(recentKey)) ? loadJSON(recentKey).filter((one) => typeof one === 'string').slice(0, columns) : []);
const remember = (emoji) => save(recentKey, JSON.stringify([emoji, ...recent().filter((other) => other !== emoji)].slice(0, columns)));

/** Opens the picker beside a button. `stay` keeps it open after a choice. */
export function pickEmoji(anchor, choose, { stay = false } = {}) {
  const rows = recent().length ? [['emojiRecent', recent()], ...groups] : groups;
  const body = h('div', { class: 'emoji-body' }, rows.map(([key, list]) => h('section', { 'aria-label': t(key) },
    h('h3', {}, t(key)),
    h('div', { class: 'emoji-grid' }, list.map((emoji) => h('button', {
      type: 'button', class: 'emoji',
      onclick: () => {
        remember(emoji);
        if (!stay) box.dismiss();
        choose(emoji);
      },
    }, emoji))))));
  const box = popup(anchor, body);
  box.classList.add('emoji-picker');
  box.setAttribute('role', 'dialog');
  box.setAttribute('aria-label', t('emoji'));
  roving(body, '.emoji', columns);
  body.querySelector('.emoji').focus();
  return box;
}

/** The six usual reactions and a way to all others; goes on top of a message's menu. */
export function quickReactions(anchor, mine, choose, dismiss) {
  return h('div', { class: 'quick', role: 'group', 'aria-label': t('react') },
    quick.map((emoji) => h('button', {
      type: 'button', class: 'emoji', 'aria-label': t('reactWith', { emoji }), 'aria-pressed': String(mine.includes(emoji)),
      onclick: () => { dismiss(); choose(emoji); },
    }, emoji)),
    h('button', { type: 'button', class: 'emoji', 'aria-label': t('moreEmoji'), title: t('moreEmoji'), onclick: () => { dismiss(); pickEmoji(anchor, choose); } }, icon('plus')));
}

const onlyEmoji = /^(?:\p{RI}\p{RI}|(?:\p{Emoji_Presentation}|\p{Emoji}\uFE0F|\p{Emoji_Modifier_Base})(?:\uFE0F|\p{Emoji_Modifier}|\u200D(?:\p{Emoji_Presentation}|\p{Emoji}\uFE0F?))*)+$/u;
/** Whether a text is a few emoji and nothing else: it is sent as kind `emoji` and shown large. */
export function isEmoji(text) {
  return text.length <= 40 && new TextEncoder().encode(text).length <= 64 && onlyEmoji.test(text);
}
