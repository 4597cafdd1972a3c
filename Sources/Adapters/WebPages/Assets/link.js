// The connection to the box: hello, catching up by cursor, live pushes, heartbeat, and coming back after a loss.
//
// Order of work: open → hello (the live stream is attached) → sync pages until done → live. Whoever listens dedupes, so overlap is harmless.
//
// The box is the one this page came from until it sends its clients to another (`moved`, then 1012) or does not answer any more. The token, the
// cursor and the ids of messages hold on every box of the federation, so what follows is the same there.

import { Refusal, api, deviceName, offline, useBox } from './api.js';
import { home, placesOf, shuffled } from './places.js';

const answerMilliseconds = 15_000;
const closingMilliseconds = 2000;
const backoffMilliseconds = { first: 500, most: 30_000 };
const stopCodes = { 4401: 'unauthenticated', 4403: 'locked' };
const steadyMilliseconds = 20_000;     // a connection that lasted so long was a good one
const patience = { known: 2, other: 1 }; // attempts before another box is tried: where one was live, and where one never was
const openMilliseconds = { home: 15_000, other: 6000 };
const movedMilliseconds = 5000;        // for the close after `moved`
const listMilliseconds = 300_000;      // how old the list of boxes may be
const boxesMax = 64;                   // places kept; a federation has 32 boxes
const lagMilliseconds = 60_000;        // how long after a change of boxes a conversation may be unknown for no other reason
const strangersMax = 5;                // other boxes that do not know the token before it counts as ended

const same = (one, other) => one.ws === other.ws;

export class Link {
  /** `on`: `state(name, detail)`, `hello(d)`, `push(t, d)`, `reload()` (everything anew, a promise), `live()`, `boxes()`. */
  constructor(token, on) {
    this.token = token;
    this.on = on;
    this.state = 'idle';
    this.cursor = null; // up to here everything was seen; null until the first load is complete
    this.attempt = 0;
    this.swings = 0; // short lives in a row
    this.nextId = 1;
    this.waiting = new Map();
    this.place = home;    // where to connect next, or where one is connected
    this.good = home;     // where one was live last
    this.failures = 0;    // attempts there that did not become live
    this.queue = [];      // where to try after it
    this.others = [];     // places of sister boxes, as last listed
    this.strangers = 0;
    this.wake = () => { if (document.visibilityState === 'visible' && this.state === 'waiting') this.connect(); };
    addEventListener('online', this.wake);
    document.addEventListener('visibilitychange', this.wake);
  }

  get isLive() { return this.state === 'live'; }

  /** Whether the box of now may not have heard yet of everything that this client has. */
  get mayLag() { return performance.now() - this.changed < lagMilliseconds; }

  connect() {
    if (this.socket || this.state === 'stopped') return;
    clearTimeout(this.retryTimer);
    this.setState('connecting');
    let socket;
    try {
      socket = new WebSocket(this.place.ws, 'skerry.v1.json');
    } catch {
      this.socket = socket = {}; // an address that the browser refuses to try
      this.lost(socket);
      return;
    }
    this.socket = socket;
    this.liveSince = null;
    // A network that swallows everything would leave the socket opening for minutes.
    this.openTimer = setTimeout(() => this.lost(socket), this.place === home ? openMilliseconds.home : openMilliseconds.other);
    socket.onopen = () => this.greet(socket);
    socket.onmessage = (event) => { if (this.socket === socket) this.receive(event.data); };
    socket.onclose = (event) => { if (this.socket === socket) this.closed(event.code, event.reason); };
  }

  stop() {
    removeEventListener('online', this.wake);
    document.removeEventListener('visibilitychange', this.wake);
    this.setState('stopped');
    this.drop();
    useBox(home.base);
  }

  // MARK: One connection

  async greet(socket) {
    try {
      const hello = await this.request('hello', { token: this.token, device: deviceName(), ...(this.cursor ? { cursor: this.cursor } : {}), ...(this.hop ? { hop: this.hop } : {}) });
      if (this.socket !== socket) return;
      clearTimeout(this.openTimer);
      useBox(this.place.base);
      this.place.box = hello.box;
      this.setState('syncing');
      this.beat(hello.heartbeat ?? 25);
      this.on.hello(hello);
      this.liveCursor = null;
      if (this.cursor && hello.sync === 'ok') await this.catchUp(socket);
      else await this.startOver(hello.live);
      if (this.socket !== socket) return;
      this.liveSince = performance.now();
      this.attempt = this.swings;
      this.failures = this.strangers = 0;
      this.queue = [];
      if (!same(this.place, this.good)) this.changed = this.liveSince;
      this.good = this.place;
      this.setState('live');
      this.on.live();
      this.listBoxes();
    } catch (error) {
      if (this.socket !== socket) return;
      if (['unauthenticated', 'token_expired'].includes(error.code)) this.unknown(socket, error);
      else if (error.temporary) this.lost(socket);
      else {
        // Refused for good: the cursor may be of another life of the box. The close code that follows says whether to come back at all.
        this.cursor = null;
        setTimeout(() => this.lost(socket), closingMilliseconds);
      }
    }
  }

  async catchUp(socket) {
    let since = this.cursor;
    for (;;) {
      const page = await this.request('sync', { since });
      if (this.socket !== socket) return;
      if (page.status === 'reset' || page.status === 'limited') {
        await this.startOver(page.status === 'reset' ? page.cursor : since);
        if (page.status === 'reset') return;
      }
      for (const item of page.items ?? []) this.on.push(item.t, item.d);
      since = this.cursor = page.cursor;
      if (page.done) break;
    }
    // Pushes that came during the pages are seen as well; only now may their cursor count.
    if (this.liveCursor) this.cursor = this.liveCursor;
  }

  async startOver(cursor) {
    this.cursor = null;
    await this.on.reload();
    this.cursor = this.liveCursor ?? cursor;
  }

  receive(data) {
    this.heard = performance.now();
    let frame;
    try { frame = JSON.parse(data); } catch { return; }
    if (frame.t) {
      if (frame.t === 'ping') this.send({ t: 'ping', id: this.nextId++, d: {} });
      else if (frame.t === 'moved') this.moved(frame.d ?? {});
      else this.on.push(frame.t, frame.d ?? {});
      if (frame.cursor) {
        // While older pages are still missing, a later cursor would skip them.
        if (this.state === 'live') this.cursor = frame.cursor;
        else this.liveCursor = frame.cursor;
      }
      return;
    }
    const waiting = this.waiting.get(frame.id);
    if (!waiting) return;
    this.waiting.delete(frame.id);
    clearTimeout(waiting.timer);
    if (frame.error) waiting.reject(new Refusal(frame.error));
    else waiting.resolve(frame.d ?? {});
  }

  /** Sends a verb; the promise is the answer, a refusal, or `offline` when there is none. */
  request(t, d) {
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) { reject(offline()); return; }
      const id = this.nextId++;
      const timer = setTimeout(() => { this.waiting.delete(id); reject(offline()); }, answerMilliseconds);
      this.waiting.set(id, { resolve, reject, timer });
      this.send({ t, id, d });
    });
  }

  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.said = performance.now();
    this.socket.send(JSON.stringify(frame));
  }

  beat(seconds) {
    this.heard = this.said = performance.now();
    clearInterval(this.beatTimer);
    this.beatTimer = setInterval(() => {
      const now = performance.now();
      if (now - this.heard > seconds * 2500) this.lost(this.socket); // half-open: nobody is there any more
      else if (now - this.said > seconds * 600) this.request('ping', {}).catch(() => {});
      if (now - this.listed > listMilliseconds) this.listBoxes();
    }, 5000);
  }

  // MARK: Other boxes

  /** Keeps where the other boxes are, for the time when this one cannot be asked any more. */
  async listBoxes() {
    this.listed = performance.now();
    try {
      const { items } = await api('GET', '/boxes', undefined, { seconds: 10 });
      const sisters = items.filter((item) => !item.isSelf && item.standing !== 'removed');
      this.others = sisters.flatMap(placesOf).slice(0, boxesMax);
      this.hasSisters = sisters.length > 0;
      this.on.boxes?.();
    } catch { /* the last list will do */ }
  }

  /** The box wants this client to go to another one, and closes in a moment. */
  moved(d) {
    this.hop = d.token; // shows the other one that it must not send this client on at once
    this.going = [...placesOf(d), ...(Array.isArray(d.alternates) ? d.alternates : []).flatMap(placesOf)].slice(0, boxesMax);
    const { socket } = this;
    this.openTimer = setTimeout(() => this.lost(socket), movedMilliseconds);
  }

  /** Where to try next, when the place of now has failed often enough. */
  async elsewhere() {
    const failed = this.place;
    if (!this.queue.length) {
      if (this.assigned !== failed.ws) await this.assign(failed);
      const away = shuffled(this.others).filter((place) => !same(place, failed) && !(place.box && place.box === failed.box));
      const rest = [...(same(this.good, home) ? [] : [this.good]), home].filter((place) => !same(place, failed));
      // One that was good a moment ago is likelier to come back than one never seen; the page's own box is always among them.
      this.queue.push(...(same(failed, this.good) || same(failed, home) ? [...away, ...rest] : [...rest, ...away]));
    }
    if (this.socket) return; // the person did not want to wait
    this.place = this.queue.shift() ?? home;
    this.failures = 0;
  }

  /** The box that is to be left may still say which other ones have room. */
  async assign(failed) {
    this.assigned = failed.ws;
    const asked = same(this.good, failed) ? home : this.good;
    if (same(asked, failed)) return;
    try {
      const query = new URLSearchParams({ ...(failed.box ? { prev: failed.box } : {}), ...(this.hop ? { token: this.hop } : {}) });
      const answer = await api('GET', `/assign?${query}`, undefined, { at: asked.base, seconds: 5 });
      const offered = [answer, ...(answer.alternates ?? [])].filter(({ box }) => box !== failed.box).flatMap(placesOf);
      this.queue.push(...offered.slice(0, boxesMax));
    } catch { /* it does not answer either */ }
  }

  /** The token is not known there. Where one was live it has ended; another box may just not have heard of it yet. */
  unknown(socket, error) {
    this.strangers += 1;
    if (same(this.place, this.good) || this.strangers > strangersMax) this.end('unauthenticated', error);
    else { this.failures = patience.known; this.lost(socket); }
  }

  // MARK: The end of a connection

  closed(code, reason) {
    if (code === 4401) this.unknown(this.socket, { code, reason });
    else if (code >= 4000 && code < 4500) this.end(stopCodes[code] ?? 'stopped', { code, reason });
    else this.lost(this.socket);
  }

  /** The box does not want this client back; the person has to act. */
  end(why, detail) {
    this.setState('stopped', { why, detail });
    this.drop();
  }

  resume() {
    if (this.state !== 'stopped') return;
    this.state = 'idle';
    this.connect();
  }

  lost(socket) {
    if (this.socket !== socket || !socket) return;
    const { going } = this;
    if (!this.liveSince) this.failures += 1;
    // A client that is sent to and fro, or let in and thrown out, takes more and more time for it.
    else this.swings = performance.now() - this.liveSince > steadyMilliseconds ? 0 : this.swings + 1;
    this.going = null;
    this.drop();
    const most = Math.min(backoffMilliseconds.most, backoffMilliseconds.first * 2 ** Math.min(this.attempt, 10));
    this.attempt += 1;
    // Full jitter: a thousand clients of a box that restarted must not come back in one moment.
    const wait = Math.random() * most;
    this.setState('waiting');
    if (going?.length) {
      this.assigned = null;
      [this.place, ...this.queue] = going;
      this.failures = 0;
    }
    const isSpent = this.failures >= (same(this.place, this.good) || same(this.place, home) ? patience.known : patience.other);
    this.retryTimer = setTimeout(async () => {
      if (isSpent) await this.elsewhere();
      if (this.state === 'waiting') this.connect();
    }, wait);
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.openTimer);
    clearTimeout(this.retryTimer);
    clearInterval(this.beatTimer);
    for (const { reject, timer } of this.waiting.values()) { clearTimeout(timer); reject(offline()); }
    this.waiting.clear();
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      try { socket.close(); } catch { /* it never opened */ }
    }
  }

  setState(state, detail) {
    this.state = state;
    this.on.state(state, detail);
  }
}
