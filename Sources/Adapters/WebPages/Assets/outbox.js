// Messages that were written and not yet stored by the box. Each is kept in localStorage until its acknowledgement, so neither a reload nor a lost
// connection loses one; sending it again is harmless because it keeps its `cid`.

import { keys, load, loadJSON, save } from './storage.js';

/** How long another tab has for its own message before this one helps. */
const patienceMilliseconds = 10_000;

/** Sortable by time, like a ULID: 10 characters of milliseconds and 16 of chance. */
export function newCid() {
  const letters = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  let time = Date.now();
  let head = '';
  for (let i = 0; i < 10; i += 1) { head = letters[time % 32] + head; time = Math.floor(time / 32); }
  return head + [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => letters[byte % 32]).join('');
}

export class Outbox {
  /** `link` sends; `on`: `changed(conv)`, `stored(item, answer)`. */
  constructor(user, link, on) {
    this.prefix = `skerry.out.${user}.`;
    this.link = link;
    this.on = on;
    this.items = new Map();
    for (const key of keys(this.prefix)) this.adopt(loadJSON(key), 0);
  }

  adopt(item, patience) {
    if (typeof item?.cid !== 'string' || typeof item.conv !== 'string' || this.items.has(item.cid)) return;
    this.items.set(item.cid, { ...item, state: item.error ? 'failed' : 'waiting', notBefore: performance.now() + patience });
  }

  of(conv) {
    return [...this.items.values()].filter((item) => item.conv === conv).sort((a, b) => a.created - b.created || (a.cid < b.cid ? -1 : 1));
  }
  get unsent() { return this.items.size; }

  add(conv, body, replyTo) {
    const last = Math.max(0, ...[...this.items.values()].map((item) => item.created));
    const item = { cid: newCid(), conv, body, ...(replyTo ? { replyTo } : {}), created: Math.max(Date.now(), last + 1), state: 'waiting', notBefore: 0 };
    this.items.set(item.cid, item);
    this.keep(item);
    this.on.changed(conv);
    this.flush();
    return item;
  }

  keep(item) {
    const { cid, conv, body, replyTo, created, error } = item;
    save(this.prefix + cid, JSON.stringify({ cid, conv, body, replyTo, created, error }));
  }

  /** Sends what waits, oldest first. Called when the connection is live again, and by itself after a refusal that may pass. */
  flush() {
    if (!this.link.isLive) return;
    const now = performance.now();
    let next = Infinity;
    for (const item of [...this.items.values()].sort((a, b) => a.created - b.created)) {
      if (item.state !== 'waiting') continue;
      if (item.notBefore > now) next = Math.min(next, item.notBefore - now);
      else this.sendOne(item);
    }
    clearTimeout(this.timer);
    if (next < Infinity) this.timer = setTimeout(() => this.flush(), next + 20);
  }

  async sendOne(item) {
    item.state = 'sending';
    this.on.changed(item.conv);
    try {
      const answer = await this.link.request('send', { conv: item.conv, cid: item.cid, ...item.body, ...(item.replyTo ? { replyTo: item.replyTo } : {}) });
      if (!this.items.has(item.cid)) return;
      this.remove(item.cid);
      this.on.stored(item, answer);
    } catch (error) {
      if (!this.items.has(item.cid)) return;
      // A box one has only just come to may not know the conversation yet, or that one is in it.
      if (error.code === 'offline' || error.temporary || (this.link.mayLag && ['not_found', 'forbidden'].includes(error.code))) {
        item.state = 'waiting';
        item.notBefore = performance.now() + (error.retryAfter ? error.retryAfter * 1000 : 1000 + Math.random() * 3000);
        this.flush();
      } else {
        item.state = 'failed';
        item.error = { code: error.code, detail: error.detail };
        this.keep(item);
      }
    }
    this.on.changed(item.conv);
  }

  retry(cid) {
    const item = this.items.get(cid);
    if (!item) return;
    delete item.error;
    Object.assign(item, { state: 'waiting', notBefore: 0 });
    this.keep(item);
    this.on.changed(item.conv);
    this.flush();
  }

  remove(cid) {
    const item = this.items.get(cid);
    this.items.delete(cid);
    save(this.prefix + cid, null);
    if (item) this.on.changed(item.conv);
  }

  /** A new connection: everything that waits may go at once. */
  reconnected() {
    for (const item of this.items.values()) if (item.state !== 'failed') Object.assign(item, { state: 'waiting', notBefore: 0 });
    this.flush();
  }

  /** Another tab wrote or removed one of the messages. */
  changedElsewhere(key) {
    if (!key?.startsWith(this.prefix)) return;
    const cid = key.slice(this.prefix.length);
    const known = this.items.get(cid);
    if (load(key) === null) {
      this.items.delete(cid);
      if (known) this.on.changed(known.conv);
    } else if (!known) {
      const item = loadJSON(key);
      this.adopt(item, patienceMilliseconds);
      if (item?.conv) this.on.changed(item.conv);
      this.flush();
    }
  }
}
