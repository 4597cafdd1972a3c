// Every text of the pages, English and Simplified Chinese side by side, so that neither can be forgotten.

import { load, save } from './storage.js';

const texts = {
  // General
  product: ['Skerry', 'Skerry'],
  close: ['Close', '关闭'],
  cancel: ['Cancel', '取消'],
  save: ['Save', '保存'],
  saved: ['Saved.', '已保存。'],
  copy: ['Copy', '复制'],
  copied: ['Copied.', '已复制。'],
  copyFailed: ['Could not copy; select the text instead.', '无法复制，请手动选择文字。'],
  back: ['Back to conversations', '返回会话列表'],
  loading: ['Loading…', '正在加载…'],
  retry: ['Try again', '重试'],
  skipToMessages: ['Skip to messages', '跳到消息'],
  language: ['Language', '语言'],
  theme: ['Appearance', '外观'],
  themeAuto: ['Like the device', '跟随系统'],
  themeLight: ['Light', '浅色'],
  themeDark: ['Dark', '深色'],

  // Gate
  signIn: ['Sign in', '登录'],
  signInTitle: ['Welcome back', '欢迎回来'],
  signInText: ['Sign in to this box.', '登录到这台设备。'],
  signInHelp: ['No account yet? Ask an administrator of this box for an invitation link.', '还没有账号？请向这台设备的管理员索取邀请链接。'],
  claimTitle: ['This box is yours', '这台设备归你了'],
  claimText: ['Create the first account. It will be the administrator of this box.', '创建第一个账号，它将成为这台设备的管理员。'],
  claimDo: ['Claim this box', '认领这台设备'],
  inviteTitle: ['You are invited', '你收到了邀请'],
  inviteText: ['Choose a name and a password to join.', '取一个名字并设置密码即可加入。'],
  inviteAdmin: ['This invitation makes you an administrator.', '此邀请将使你成为管理员。'],
  inviteUntil: ['Valid until {time}.', '有效期至 {time}。'],
  inviteDo: ['Join', '加入'],
  resetTitle: ['New password', '设置新密码'],
  resetText: ['Choose a new password for your account.', '为你的账号设置新密码。'],
  resetDo: ['Set password and sign in', '设置密码并登录'],
  linkDead: ['This link does not work any more', '此链接已失效'],
  linkDeadText: ['It was used, has expired or was withdrawn. Ask for a new one.', '它已被使用、已过期或已被撤回。请索取新的链接。'],
  claimDeadText: ['It was used or has expired. Run “skerry claim” on the box for a new one, or sign in.', '它已被使用或已过期。请在设备上运行“skerry claim”获取新链接，或直接登录。'],
  toSignIn: ['Go to sign in', '前往登录'],
  name: ['Name', '用户名'],
  nameHint: ['Letters and digits of any language, and - _ . up to 32 characters.', '任意语言的文字和数字，以及 - _ .，最多 32 个字符。'],
  password: ['Password', '密码'],
  passwordHint: ['At least 8 characters.', '至少 8 个字符。'],
  showPassword: ['Show password', '显示密码'],
  nameEmpty: ['Enter a name.', '请输入用户名。'],
  nameBad: ['Use letters, digits, - _ . only, at most 32.', '只能使用文字、数字和 - _ .，最多 32 个字符。'],
  nameTaken: ['This name is taken. Choose another one.', '此用户名已被使用，请换一个。'],
  passwordShort: ['Use at least 8 characters.', '请至少使用 8 个字符。'],
  passwordEmpty: ['Enter your password.', '请输入密码。'],
  wrongPassword: ['The name or the password is wrong.', '用户名或密码错误。'],
  working: ['One moment…', '请稍候…'],
  signedOut: ['You were signed out. Sign in again.', '你已退出登录，请重新登录。'],
  locked: ['This account is locked. Talk to an administrator of the box.', '此账号已被锁定，请联系设备管理员。'],

  // Connection
  connecting: ['Connecting…', '正在连接…'],
  reconnecting: ['No connection. What you write is kept and sent later.', '连接已断开。你写的内容会保存，稍后发送。'],
  syncing: ['Catching up…', '正在同步…'],
  connectNow: ['Connect now', '立即连接'],
  movedTo: ['You are connected to another box now. Nothing was lost.', '已连接到另一台设备，没有丢失任何内容。'],
  openElsewhere: ['Open the chat on {name}', '在 {name} 上打开聊天'],
  stopped: ['The box closed the connection.', '设备关闭了连接。'],

  // List
  conversations: ['Conversations', '会话'],
  newChat: ['New conversation', '新建会话'],
  filter: ['Find a conversation', '查找会话'],
  noConversations: ['No conversations yet', '还没有会话'],
  noConversationsText: ['Find somebody and say hello.', '找个人，打个招呼吧。'],
  nothingFound: ['Nothing found.', '没有找到。'],
  unread: [(n) => `${n} unread`, (n) => `${n} 条未读`],
  you: ['You', '你'],
  youSaid: ['You: {text}', '你：{text}'],
  someoneSaid: ['{name}: {text}', '{name}：{text}'],
  draft: ['Draft: {text}', '草稿：{text}'],
  online: ['online', '在线'],
  offline: ['offline', '离线'],
  lastSeen: ['last seen {time}', '{time}在线'],
  choose: ['Choose a conversation', '选择一个会话'],
  chooseText: ['Your messages stay on your own boxes.', '你的消息只保存在你们自己的设备上。'],
  settings: ['Settings', '设置'],
  administration: ['Administration', '管理'],

  // Thread
  messages: ['Messages with {name}', '与{name}的消息'],
  noMessages: ['No messages yet. Say hello!', '还没有消息，打个招呼吧！'],
  olderLoading: ['Loading older messages…', '正在加载更早的消息…'],
  olderFailed: ['Older messages could not be loaded.', '无法加载更早的消息。'],
  beginning: ['This is the beginning of the conversation.', '这是会话的开头。'],
  newMessages: ['New messages', '新消息'],
  toNewest: ['Go to the newest message', '跳到最新消息'],
  today: ['Today', '今天'],
  yesterday: ['Yesterday', '昨天'],
  write: ['Write a message', '写消息'],
  writeTo: ['Write to {name}', '发消息给{name}'],
  sendIt: ['Send', '发送'],
  emoji: ['Emoji', '表情'],
  emojiRecent: ['Recent', '最近使用'],
  emojiFaces: ['Faces', '表情'],
  emojiHands: ['People', '人物'],
  emojiNature: ['Nature', '自然'],
  emojiFood: ['Food', '食物'],
  emojiThings: ['Things', '物品'],
  emojiSigns: ['Signs', '符号'],
  tooLong: ['Too long by {n} bytes', '超出 {n} 字节'],
  sending: ['Sending', '发送中'],
  waiting: ['Waiting for a connection', '等待连接'],
  stored: ['Stored on the box', '已存储到设备'],
  replicated: ['Stored on another box too', '已存储到其他设备'],
  failed: ['Not sent', '发送失败'],
  discard: ['Discard', '丢弃'],
  read: ['Read', '已读'],
  readBy: [(n) => `Read by ${n}`, (n) => `${n} 人已读`],
  edited: ['edited', '已编辑'],
  recalled: ['Message recalled', '消息已撤回'],
  typingOne: ['{name} is typing…', '{name}正在输入…'],
  typingMany: ['Several people are typing…', '多人正在输入…'],
  actions: ['Actions for this message', '消息操作'],
  reply: ['Reply', '回复'],
  replyingTo: ['Replying to {name}', '回复{name}'],
  cancelReply: ['Cancel reply', '取消回复'],
  original: ['Earlier message', '之前的消息'],
  edit: ['Edit', '编辑'],
  editing: ['Editing your message', '正在编辑消息'],
  cancelEdit: ['Cancel editing', '取消编辑'],
  recall: ['Recall', '撤回'],
  recallTitle: ['Recall this message?', '撤回这条消息？'],
  recallText: ['Everybody will see that a message was recalled, but not what it said.', '所有人会看到有消息被撤回，但看不到内容。'],
  copyText: ['Copy text', '复制文字'],
  react: ['React', '回应'],
  reactWith: ['React with {emoji}', '用 {emoji} 回应'],
  moreEmoji: ['More emoji', '更多表情'],
  reactedBy: ['{emoji} by {names}', '{names} 回应了 {emoji}'],
  location: ['Location', '位置'],
  shareLocation: ['Share a location', '分享位置'],
  latitude: ['Latitude', '纬度'],
  longitude: ['Longitude', '经度'],
  label: ['Label (optional)', '标签（可选）'],
  myPosition: ['Use my position', '使用我的位置'],
  positionFailed: ['The position is not available.', '无法获取位置。'],
  latitudeBad: ['From −90 to 90.', '−90 到 90 之间。'],
  longitudeBad: ['From −180 to 180.', '−180 到 180 之间。'],
  accuracy: ['± {n} m', '± {n} 米'],
  copyPosition: ['Copy position', '复制位置'],
  custom: ['Data of another app', '其他应用的数据'],
  picture: ['Picture', '图片'],
  voice: ['Voice message', '语音消息'],
  video: ['Video', '视频'],
  file: ['File', '文件'],
  notShown: ['This page cannot show it yet.', '此页面暂时无法显示。'],
  formerMember: ['Former member', '已退出的成员'],

  // People and groups
  searchPeople: ['Search people by name', '按名字搜索'],
  people: ['People', '联系人'],
  newGroup: ['New group', '新建群组'],
  group: ['Group', '群组'],
  groupTitle: ['Group name', '群组名称'],
  groupTitleEmpty: ['Give the group a name.', '请输入群组名称。'],
  createGroup: ['Create group', '创建群组'],
  selected: ['Selected', '已选'],
  removeName: ['Remove {name}', '移除{name}'],
  details: ['Details', '详情'],
  members: [(n) => (n === 1 ? '1 member' : `${n} members`), (n) => `${n} 位成员`],
  owner: ['Owner', '群主'],
  admin: ['Admin', '管理员'],
  member: ['Member', '成员'],
  rename: ['Rename', '重命名'],
  invite: ['Add people', '添加成员'],
  add: ['Add', '添加'],
  leave: ['Leave group', '退出群组'],
  leaveTitle: ['Leave “{name}”?', '退出“{name}”？'],
  leaveText: ['You will get no more messages from this group. Somebody has to add you to come back.', '你将不再收到此群的消息，需要别人添加才能回来。'],
  makeAdmin: ['Make admin', '设为管理员'],
  makeMember: ['Make member', '设为普通成员'],
  makeOwner: ['Make owner', '转让群主'],
  makeOwnerTitle: ['Hand the group over to {name}?', '将群主转让给{name}？'],
  makeOwnerText: ['You will stay as an admin.', '你将成为管理员。'],
  removeMember: ['Remove from group', '移出群组'],
  removeTitle: ['Remove {name}?', '移除{name}？'],
  removeText: ['They will get no more messages from this group.', '对方将不再收到此群的消息。'],
  memberActions: ['Actions for {name}', '{name}的操作'],
  leftGroup: ['You are no longer in “{name}”.', '你已不在“{name}”中。'],
  block: ['Block', '屏蔽'],
  unblock: ['Unblock', '取消屏蔽'],
  blockTitle: ['Block {name}?', '屏蔽{name}？'],
  blockText: ['They cannot write to you until you unblock them. They are not told.', '在取消屏蔽之前对方无法给你发消息，对方不会收到通知。'],
  blockedNow: ['{name} is blocked.', '已屏蔽{name}。'],
  unblockedNow: ['{name} is no longer blocked.', '已取消屏蔽{name}。'],
  blockedNote: ['You blocked this person.', '你已屏蔽此人。'],
  blockedPeople: ['Blocked people', '已屏蔽的人'],

  // Settings
  displayName: ['Display name', '显示名称'],
  displayHint: ['What others see instead of “{name}”.', '别人看到的名称，代替“{name}”。'],
  changePassword: ['Change password', '修改密码'],
  oldPassword: ['Current password', '当前密码'],
  newPassword: ['New password', '新密码'],
  oldPasswordWrong: ['The current password is wrong.', '当前密码错误。'],
  devices: ['Devices', '设备'],
  device: ['Device', '设备'],
  thisDevice: ['This device', '本设备'],
  deviceSeen: ['Last used {time}', '上次使用：{time}'],
  removeDevice: ['Sign out', '退出登录'],
  removeDeviceName: ['Sign out {name}', '退出 {name} 的登录'],
  signOut: ['Sign out', '退出登录'],
  signOutText: ['Sign out on this device?', '在本设备上退出登录？'],
  signOutUnsent: ['Messages that were not sent yet will be lost.', '尚未发送的消息将会丢失。'],
  none: ['None.', '无。'],

  // Errors, by the code of the registry
  e_bad_request: ['The box did not understand the request.', '设备无法理解该请求。'],
  e_payload_invalid: ['The box does not accept this content.', '设备不接受此内容。'],
  e_unauthenticated: ['Sign in first.', '请先登录。'],
  e_token_expired: ['The sign-in has expired. Sign in again.', '登录已过期，请重新登录。'],
  e_forbidden: ['You may not do this.', '你没有权限执行此操作。'],
  e_blocked: ['This person does not accept messages from you.', '对方不接收你的消息。'],
  e_muted: ['You are muted in this conversation.', '你在此会话中被禁言。'],
  e_banned: ['You are banned from this conversation.', '你已被禁止进入此会话。'],
  e_not_found: ['It does not exist, or is not yours to see.', '不存在，或你无权查看。'],
  e_gone: ['It no longer exists.', '已不存在。'],
  e_conflict: ['It contradicts what is already there.', '与已有内容冲突。'],
  e_precondition_failed: ['It was changed by somebody else in the meantime.', '内容已被他人修改。'],
  e_too_large: ['It is larger than this box accepts.', '内容超出设备允许的大小。'],
  e_quota_exceeded: ['Your share of this box is used up.', '你的配额已用完。'],
  e_rate_limited: ['Too many requests. Wait a moment.', '请求过于频繁，请稍候。'],
  e_storage_low: ['The box is nearly out of disk space and takes no new content.', '设备磁盘空间不足，暂不接受新内容。'],
  e_moved: ['Another box serves this now.', '此内容由另一台设备提供。'],
  e_no_quorum: ['Too few boxes are reachable.', '可达的设备数量不足。'],
  e_unavailable: ['The box cannot do this right now.', '设备暂时无法执行此操作。'],
  e_busy: ['The box is busy. Try again shortly.', '设备繁忙，请稍后再试。'],
  e_offline: ['The box cannot be reached.', '无法连接到设备。'],
  e_unknown: ['Something went wrong.', '出了点问题。'],
};

const languages = ['en', 'zh-Hans'];
export const languageNames = { en: 'English', 'zh-Hans': '简体中文' };

function choose() {
  const kept = load('skerry.lang');
  if (languages.includes(kept)) return kept;
  for (const wanted of navigator.languages ?? [navigator.language]) {
    if (/^zh\b/i.test(wanted)) return 'zh-Hans';
    if (/^en\b/i.test(wanted)) return 'en';
  }
  return 'en';
}

export let language = choose();
document.documentElement.lang = language;

export function setLanguage(next) {
  language = next;
  save('skerry.lang', next);
  document.documentElement.lang = next;
}

/** The texts of a page that most people never open. */
export function addTexts(more) { Object.assign(texts, more); }

/** The text of that key; `{name}` is replaced, and a number picks the form. */
export function t(key, values) {
  const pair = texts[key];
  const text = pair[language === 'en' ? 0 : 1];
  if (typeof text === 'function') return text(values);
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '') : text;
}

/** What went wrong in the person's language. English adds what the box said in detail. */
export function errorText(error) {
  const key = `e_${error?.code ?? 'unknown'}`;
  const text = t(key in texts ? key : 'e_unknown');
  return language === 'en' && error?.detail && error.detail !== text ? `${text} ${error.detail}` : text;
}

// MARK: Times and sizes

const format = (options) => new Intl.DateTimeFormat(language, options);
const dayOf = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

export const clockTime = (date) => format({ hour: '2-digit', minute: '2-digit' }).format(date);
export const fullTime = (date) => format({ dateStyle: 'medium', timeStyle: 'short' }).format(date);
export const sameDay = (a, b) => dayOf(a) === dayOf(b);

export function dayName(date) {
  const days = Math.round((dayOf(new Date()) - dayOf(date)) / 86_400_000);
  if (days === 0) return t('today');
  if (days === 1) return t('yesterday');
  if (days > 1 && days < 7) return format({ weekday: 'long' }).format(date);
  return format({ dateStyle: 'long' }).format(date);
}

export function listTime(date) {
  const days = Math.round((dayOf(new Date()) - dayOf(date)) / 86_400_000);
  if (days === 0) return clockTime(date);
  if (days === 1) return t('yesterday');
  if (days > 1 && days < 7) return format({ weekday: 'short' }).format(date);
  return format({ year: '2-digit', month: 'numeric', day: 'numeric' }).format(date);
}

export function ago(date) {
  const seconds = (Date.now() - date.getTime()) / 1000;
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
  if (seconds < 60) return relative.format(0, 'minute');
  if (seconds < 3600) return relative.format(-Math.round(seconds / 60), 'minute');
  if (seconds < 86_400) return relative.format(-Math.round(seconds / 3600), 'hour');
  return relative.format(-Math.round(seconds / 86_400), 'day');
}

export function duration(seconds) {
  const unit = (value, name) => new Intl.NumberFormat(language, { style: 'unit', unit: name, unitDisplay: 'short' }).format(value);
  if (seconds < 60) return unit(Math.floor(seconds), 'second');
  if (seconds < 3600) return unit(Math.floor(seconds / 60), 'minute');
  if (seconds < 86_400) return `${unit(Math.floor(seconds / 3600), 'hour')} ${unit(Math.floor((seconds % 3600) / 60), 'minute')}`;
  return `${unit(Math.floor(seconds / 86_400), 'day')} ${unit(Math.floor((seconds % 86_400) / 3600), 'hour')}`;
}

export const number = (value) => new Intl.NumberFormat(language).format(value);

/** Rounded down, so that only all of it is 100 %. */
export const percent = (share) => new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: share > 0.9 && share < 1 ? 1 : 0 }).format(Math.floor(share * 1000) / 1000);

export function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 }).format(value)} ${units[unit]}`;
}
