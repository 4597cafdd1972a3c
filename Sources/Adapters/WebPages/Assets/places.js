// Where the chat can connect: the box that this page came from, and its sister boxes by the endpoints they are listed with.

const isSecure = location.protocol === 'https:';

/** The box of this page: the browser knows its way already. */
export const home = { box: null, name: null, ws: `${isSecure ? 'wss' : 'ws'}://${location.host}/v1/ws`, base: '' };

/** The addresses of one box that a browser may use from here, best first: a page that came over TLS goes nowhere without it. */
export function placesOf({ box = null, name = null, endpoints }) {
  // The way by which this page came is the best one to its own box, whatever else leads there.
  if (box && box === home.box) return [home];
  const found = new Map();
  for (const endpoint of Array.isArray(endpoints) ? endpoints : []) {
    const url = read(endpoint);
    if (!url || (isSecure && url.protocol !== 'wss:')) continue;
    const ws = `${url.protocol}//${url.host}/v1/ws`;
    if (ws === home.ws) return [home];
    found.set(ws, { box, name, ws, base: ws.replace(/^ws/, 'http').slice(0, -6) });
  }
  // Without TLS first: a box that made its own certificate is known to no browser, and a page that came without TLS has none to lose.
  return [...found.values()].sort((a, b) => a.ws.startsWith('wss:') - b.ws.startsWith('wss:'));
}

/** `{kind, address, port}`, or an address as text; what carries the chat has its WebSocket at the same port. */
function read(endpoint) {
  try {
    const { kind, address, port } = endpoint;
    const url = new URL((typeof endpoint === 'string' ? endpoint : `${kind}://${address.includes(':') ? `[${address}]` : address}:${Number(port)}`).replace(/^http/, 'ws'));
    return /^wss?:$/.test(url.protocol) ? url : null;
  } catch { return null; }
}

/** In any order: a thousand clients of one box that died must not all go to the same other one. */
export function shuffled(items) {
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i -= 1) {
    const other = Math.floor(Math.random() * (i + 1));
    [mixed[i], mixed[other]] = [mixed[other], mixed[i]];
  }
  return mixed;
}
