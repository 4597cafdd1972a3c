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
  stopped: ['The box closed the connection.', '设备关闭了连接。'],

  // List
  conversations: ['Conversations', '会话'],
  newChat: ['New conversation', '新建会话'],
  filter: ['Find a conversation', '查找会话'],
  noConversations: ['No conversations yet', '还没有会话'],
  noConversationsText: ['Find somebody on this box and say hello.', '在这台设备上找个人，打个招呼吧。'],
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
  chooseText: ['Your messages stay on this box.', '你的消息只保存在这台设备上。'],
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
  thisDevice: ['This device', '本设备'],
  deviceSeen: ['Last used {time}', '上次使用：{time}'],
  removeDevice: ['Sign out', '退出登录'],
  removeDeviceName: ['Sign out {name}', '退出 {name} 的登录'],
  signOut: ['Sign out', '退出登录'],
  signOutText: ['Sign out on this device?', '在本设备上退出登录？'],
  signOutUnsent: ['Messages that were not sent yet will be lost.', '尚未发送的消息将会丢失。'],
  none: ['None.', '无。'],

  // Admin
  adminTitle: ['This box', '本机'],
  adminOnly: ['Administrators only', '仅限管理员'],
  adminOnlyText: ['You are signed in as {name}, who is not an administrator of this box.', '你当前登录为 {name}，不是这台设备的管理员。'],
  toChat: ['Back to chat', '返回聊天'],
  overview: ['Overview', '概览'],
  onlineNow: ['Online', '在线'],
  users: ['Users', '用户'],
  invites: ['Invitations', '邀请'],
  listeners: ['Listeners', '监听端口'],
  sections: ['Sections', '分区'],
  allWell: ['Everything is fine', '一切正常'],
  allWellText: ['No problems found on this box.', '这台设备没有发现问题。'],
  attention: [(n) => (n === 1 ? '1 thing needs attention' : `${n} things need attention`), (n) => `有 ${n} 项需要处理`],
  unreachable: ['The box does not answer', '设备没有响应'],
  unreachableText: ['The figures below are from {time}. Check its power and network; this page keeps trying.', '以下数据来自 {time}。请检查电源和网络，此页面会继续尝试。'],
  unreachableFirst: ['Check its power and network; this page keeps trying.', '请检查电源和网络，此页面会继续尝试。'],
  diskLow: ['The disk is nearly full: {free} of {total} left', '磁盘空间不足：剩余 {free}，共 {total}'],
  diskLowText: ['New messages are refused when the reserve is reached. Free some space.', '达到保留空间后将拒绝新消息，请清理空间。'],
  clockUnset: ['The clock is not synchronised', '时钟未同步'],
  clockUnsetText: ['Messages are still in the right order, but their times may be wrong.', '消息顺序仍然正确，但时间可能不准确。'],
  notReady: ['The box is not ready: {reasons}', '设备未就绪：{reasons}'],
  notReadyText: ['It takes no new work until this is solved. The log says more.', '解决之前不会接受新的任务，详情请查看日志。'],
  noMqtt: ['No MQTT listener is open', '没有开启 MQTT 端口'],
  noMqttText: ['Devices cannot connect. Check the settings and the log.', '设备无法连接，请检查设置和日志。'],
  box: ['Box', '设备编号'],
  version: ['Version', '版本'],
  uptime: ['Running for', '运行时间'],
  started: ['Started', '启动于'],
  sessionsNow: ['Connections', '连接数'],
  sessionsDetail: ['{ws} chat, {mqtt} MQTT', '聊天 {ws}，MQTT {mqtt}'],
  peopleOnline: ['People online', '在线人数'],
  ofUsers: [(n) => `of ${n}`, (n) => `共 ${n}`],
  messagesStored: ['Messages', '消息数'],
  database: ['Database', '数据库'],
  memory: ['Memory', '内存'],
  diskFree: ['Disk free', '可用磁盘'],
  ofTotal: ['of {total}', '共 {total}'],
  clock: ['Clock', '时钟'],
  clockSet: ['synchronised', '已同步'],
  clockNot: ['not synchronised', '未同步'],
  nobodyOnline: ['Nobody is connected', '没有人在线'],
  nobodyOnlineText: ['People and devices appear here as soon as they connect.', '用户和设备连接后会显示在这里。'],
  kindWs: ['Chat', '聊天'],
  kindMqtt: ['MQTT', 'MQTT'],
  device: ['Device', '设备'],
  address: ['Address', '地址'],
  since: ['Since', '开始时间'],
  kind: ['Kind', '类型'],
  port: ['Port', '端口'],
  tls: ['Encryption', '加密'],
  tlsOn: ['TLS', 'TLS'],
  tlsOff: ['none', '无'],
  user: ['User', '用户'],
  role: ['Role', '角色'],
  roleAdmin: ['Administrator', '管理员'],
  roleUser: ['User', '普通用户'],
  status: ['Status', '状态'],
  lockedState: ['Locked', '已锁定'],
  activeState: ['Active', '正常'],
  created: ['Created', '创建于'],
  deviceCount: [(n) => (n === 1 ? '1 device' : `${n} devices`), (n) => `${n} 台设备`],
  addUser: ['Add user', '添加用户'],
  userAdded: ['{name} was added.', '已添加 {name}。'],
  lock: ['Lock', '锁定'],
  unlock: ['Unlock', '解锁'],
  lockTitle: ['Lock {name}?', '锁定 {name}？'],
  lockText: ['All their connections are closed and they cannot sign in until unlocked. Nothing is deleted.', '其所有连接将被关闭，解锁前无法登录。不会删除任何内容。'],
  lockedNow: ['{name} is locked.', '已锁定 {name}。'],
  unlockedNow: ['{name} is unlocked.', '已解锁 {name}。'],
  resetLink: ['Password reset link', '密码重置链接'],
  resetLinkFor: ['Reset link for {name}', '{name} 的重置链接'],
  resetLinkText: ['Give this link to {name}. It works once, until {time}.', '请将此链接交给 {name}。仅可使用一次，有效期至 {time}。'],
  toAdmin: ['Make administrator', '设为管理员'],
  toUser: ['Make ordinary user', '设为普通用户'],
  toAdminTitle: ['Make {name} an administrator?', '将 {name} 设为管理员？'],
  toAdminText: ['Administrators see who is connected and manage every account.', '管理员可以查看所有连接并管理所有账号。'],
  roleChanged: ['The role of {name} was changed.', '已更改 {name} 的角色。'],
  userActions: ['Actions for {name}', '{name} 的操作'],
  moreUsers: ['Show more', '显示更多'],
  newInvite: ['New invitation', '新建邀请'],
  noInvites: ['No open invitations', '没有有效的邀请'],
  noInvitesText: ['Make a link and give it to the people who should join.', '创建链接并发给要加入的人。'],
  uses: ['Uses', '使用次数'],
  usesHint: ['How many people may join with it, 1 to 1000.', '可加入的人数，1 到 1000。'],
  usesBad: ['A whole number from 1 to 1000.', '请输入 1 到 1000 的整数。'],
  lifetime: ['Lifetime', '有效期'],
  hours: [(n) => (n === 1 ? '1 hour' : `${n} hours`), (n) => `${n} 小时`],
  days: [(n) => (n === 1 ? '1 day' : `${n} days`), (n) => `${n} 天`],
  createInvite: ['Create link', '创建链接'],
  inviteReady: ['Invitation link', '邀请链接'],
  linkLocal: ['This address leads to the box only on this very machine. For others, open this page by the address the box has on its network.', '此地址只能在本机上打开。若要给别人使用，请用设备在网络中的地址打开本页面后再创建。'],
  inviteReadyText: ['Show or send this link. It is shown only once.', '展示或发送此链接，它只显示一次。'],
  inviteQr: ['QR code of the link', '链接的二维码'],
  usedOf: ['{used} of {uses} used', '已用 {used}/{uses}'],
  expires: ['Expires', '过期时间'],
  expired: ['expired', '已过期'],
  createdBy: ['By', '创建者'],
  withdraw: ['Withdraw', '撤回'],
  withdrawTitle: ['Withdraw this invitation?', '撤回此邀请？'],
  withdrawText: ['Its link stops working at once. People who joined stay.', '链接将立即失效，已加入的人不受影响。'],
  withdrawn: ['The invitation was withdrawn.', '邀请已撤回。'],
  noListeners: ['No listeners', '没有监听端口'],
  noListenersText: ['The box does not report any open port.', '设备没有报告任何打开的端口。'],
  actionsHead: ['Actions', '操作'],
  mqttClients: ['MQTT clients', 'MQTT 客户端'],
  clientId: ['Client id', '客户端 ID'],
  clientStart: ['Client id starts with', '客户端 ID 开头'],
  clientTopic: ['Subscribed to topic', '订阅的主题'],
  allStates: ['All', '全部'],
  connectedState: ['Connected', '已连接'],
  awayState: ['Away', '离线'],
  connectedSince: ['Connected since', '连接时间'],
  awaySince: ['Away since', '离线时间'],
  lastHeard: ['Last heard', '最近活动'],
  keepAlive: ['Keep-alive', '保活间隔'],
  keepAliveOff: ['off', '关闭'],
  session: ['Session', '会话保留'],
  sessionKept: ['kept {time} after it leaves', '离开后保留 {time}'],
  sessionForEver: ['kept for ever', '永久保留'],
  sessionEnds: ['ends with the connection', '断开即结束'],
  subscriptions: ['Subscriptions', '订阅'],
  queued: ['Queued', '排队消息'],
  inFlight: ['In flight', '传输中'],
  messagesFromTo: ['Messages from / to it', '收 / 发消息数'],
  noClients: ['No MQTT clients', '没有 MQTT 客户端'],
  noClientsText: ['Devices appear here when they connect, and stay while a session is kept for them.', '设备连接后会显示在这里，会话保留期间也会显示。'],
  noMatch: ['Nothing matches', '没有匹配的内容'],
  noMatchText: ['Try a shorter or other search.', '请尝试更短或其他的搜索条件。'],
  details: ['Details', '详情'],
  disconnect: ['Disconnect', '断开连接'],
  disconnectTitle: ['Disconnect {name}?', '断开 {name} 的连接？'],
  disconnectText: ['It may connect again. To keep somebody out, lock the user.', '它可以重新连接。若要禁止使用，请锁定该用户。'],
  disconnectedNow: ['{name} was disconnected.', '已断开 {name} 的连接。'],
  removeSession: ['Remove session', '移除会话'],
  removeTitle: ['Remove the session of {name}?', '移除 {name} 的会话？'],
  removeText: [(n) => `Its connection ends, its subscriptions go, and ${n} queued messages are lost.`, (n) => `连接将断开，订阅将被删除，${n} 条排队消息将丢失。`],
  sessionRemoved: ['The session of {name} was removed.', '已移除 {name} 的会话。'],
  clientActions: ['Actions for {name}', '{name} 的操作'],
  retainedMessages: ['Retained messages', '保留消息'],
  topicFilter: ['Topic filter', '主题过滤器'],
  filterBad: ['This is no topic filter: + stands for a whole level, # for the rest.', '不是有效的主题过滤器：+ 代表一整级，# 代表其余各级。'],
  topic: ['Topic', '主题'],
  payloadSize: ['Size', '大小'],
  contentType: ['Content type', '内容类型'],
  never: ['never', '永不'],
  inTime: ['in {time}', '{time} 后'],
  noRetained: ['Nothing is retained', '没有保留消息'],
  noRetainedText: ['The last message of a topic stays here when it is published with the retain flag.', '以保留标志发布的消息，每个主题的最后一条会保存在这里。'],
  topicActions: ['Actions for {name}', '{name} 的操作'],
  showPayload: ['Show', '查看'],
  payloadText: ['Payload', '内容'],
  payloadBase64: ['Payload (base64)', '内容（base64）'],
  payloadCut: ['Only the first {shown} are shown.', '仅显示前 {shown}。'],
  clearOne: ['Clear', '清除'],
  clearOneTitle: ['Clear this retained message?', '清除这条保留消息？'],
  clearOneText: ['{name}: new subscribers do not get it any more.', '{name}：新的订阅者将不再收到它。'],
  clearAll: ['Clear all of these', '全部清除'],
  clearAllTitle: ['Clear everything that {name} matches?', '清除 {name} 匹配的所有消息？'],
  clearAllText: ['Every retained message that the filter matches goes, also those that are not on this page. They do not come back.', '过滤器匹配的所有保留消息都将被清除，包括未显示的，且无法恢复。'],
  cleared: [(n) => (n === 1 ? '1 retained message was cleared.' : `${n} retained messages were cleared.`), (n) => `已清除 ${n} 条保留消息。`],
  accessRules: ['Access rules', '访问规则'],
  accessText: ['Who may publish and subscribe which MQTT topics. A deny rule always wins. A user with allow rules of their own may use only those topics; otherwise the allow rules of their role count, and without any, everything is allowed.', '谁可以发布和订阅哪些 MQTT 主题。拒绝规则始终优先。若用户有自己的允许规则，则只能使用这些主题；否则按其角色的允许规则；都没有时，允许一切。'],
  accessNone: ['No access rules', '没有访问规则'],
  accessNoneText: ['Every user may use every topic.', '所有用户可以使用所有主题。'],
  accessAdd: ['Add rule', '添加规则'],
  accessTest: ['Test', '测试'],
  accessWho: ['Who', '对象'],
  accessEffect: ['Effect', '效果'],
  accessVerb: ['Access', '操作'],
  accessAllow: ['Allow', '允许'],
  accessDeny: ['Deny', '拒绝'],
  accessPublish: ['Publish', '发布'],
  accessSubscribe: ['Subscribe', '订阅'],
  accessBoth: ['Publish and subscribe', '发布和订阅'],
  accessOneUser: ['One user', '单个用户'],
  accessUsers: ['All ordinary users', '所有普通用户'],
  accessAdmins: ['All administrators', '所有管理员'],
  accessAnonymous: ['Clients without an account', '无账号的客户端'],
  accessFilterHint: ['+ is one level, # all the rest, %u the user’s name, %c the client id. Example: sensors/%u/#', '+ 代表一级，# 代表其余各级，%u 为用户名，%c 为客户端 ID。例如 sensors/%u/#'],
  accessFilterMissing: ['Write a topic.', '请输入主题。'],
  accessNameMissing: ['Write the user’s name.', '请输入用户名。'],
  accessNobody: ['Nobody on this box has this name.', '这台设备上没有此用户。'],
  accessKnown: ['There is this rule already.', '已有相同的规则。'],
  accessAdded: ['The rule holds from now on.', '规则已生效。'],
  accessRemove: ['Remove', '移除'],
  accessRemoveTitle: ['Remove this rule?', '移除此规则？'],
  accessRemoveText: ['The rule for {name} no longer holds, for connected clients too.', '{name} 的规则将不再有效，对已连接的客户端也是如此。'],
  accessRemoved: ['The rule was removed.', '已移除规则。'],
  accessClientHint: ['Only matters for rules with %c.', '仅对含 %c 的规则有影响。'],
  accessYes: ['Yes, this is allowed', '允许'],
  accessNo: ['No, this is refused', '拒绝'],
  accessNoRule: ['No single rule decides about it.', '没有单独决定此操作的规则。'],
  updated: ['Updated {time}', '更新于 {time}'],

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

export function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 }).format(value)} ${units[unit]}`;
}
