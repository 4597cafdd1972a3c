// The connection to the box: hello, catching up by cursor, live pushes, heartbeat, and coming back after a loss.
//
// Order of work: open → hello (the live stream is attached) → sync pages until done → live. Whoever listens dedupes, so overlap is harmless.

import { Refusal, deviceName, offline } from './api.js';

const answerMilliseconds = 15_000;
const closingMilliseconds = 2000;
const backoffMilliseconds = { first: 500, most: 30_000 };
const stopCodes = { 4401: 'unauthenticated', 4403: 'locked' };

export class Link {
  /** `on`: `state(name, detail)`, `hello(d)`, `push(t, d)`, `reload()` (everything anew, a promise), `live()`. */
  constructor(token, on) {
    this.token = token;
    this.on = on;
    this.state = 'idle';
    this.cursor = null; // up to here everything was seen; null until the first load is complete
    this.attempt = 0;
    this.nextId = 1;
    this.waiting = new Map();
    this.wake = () => { if (document.visibilityState === 'visible' && this.state === 'waiting') this.connect(); };
    addEventListener('online', this.wake);
    document.addEventListener('visibilitychange', this.wake);
  }

  get isLive() { return this.state === 'live'; }

  connect() {
    if (this.socket || this.state === 'stopped') return;
    clearTimeout(this.retryTimer);
    this.setState('connecting');
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/ws`, 'skerry.v1.json');
    this.socket = socket;
    // A network that swallows everything would leave the socket opening for minutes.
    this.openTimer = setTimeout(() => this.lost(socket), answerMilliseconds);
    socket.onopen = () => this.greet(socket);
    socket.onmessage = (event) => { if (this.socket === socket) this.receive(event.data); };
    socket.onclose = (event) => { if (this.socket === socket) this.closed(event.code, event.reason); };
  }

  stop() {
    removeEventListener('online', this.wake);
    document.removeEventListener('visibilitychange', this.wake);
    this.setState('stopped');
    this.drop();
  }

  // MARK: One connection

  async greet(socket) {
    try {
      const hello = await this.request('hello', { token: this.token, device: deviceName(), ...(this.cursor ? { cursor: this.cursor } : {}) });
      if (this.socket !== socket) return;
      clearTimeout(this.openTimer);
      this.setState('syncing');
      this.beat(hello.heartbeat ?? 25);
      this.on.hello(hello);
      this.liveCursor = null;
      if (this.cursor && hello.sync === 'ok') await this.catchUp(socket);
      else await this.startOver(hello.live);
      if (this.socket !== socket) return;
      this.attempt = 0;
      this.setState('live');
      this.on.live();
    } catch (error) {
      if (this.socket !== socket) return;
      if (['unauthenticated', 'token_expired'].includes(error.code)) this.end('unauthenticated', error);
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
    }, 5000);
  }

  // MARK: The end of a connection

  closed(code, reason) {
    if (code >= 4000 && code < 4500) this.end(stopCodes[code] ?? 'stopped', { code, reason });
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
    this.drop();
    const most = Math.min(backoffMilliseconds.most, backoffMilliseconds.first * 2 ** Math.min(this.attempt, 10));
    this.attempt += 1;
    // Full jitter: a thousand clients of a box that restarted must not come back in one moment.
    const wait = Math.random() * most;
    this.setState('waiting');
    this.retryTimer = setTimeout(() => this.connect(), wait);
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
