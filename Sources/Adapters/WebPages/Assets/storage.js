// What the browser keeps. A browser that keeps nothing (private mode, full) still works for as long as the page is open.

export function load(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}
export function save(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
    return true;
  } catch { return false; }
}
export function loadJSON(key) {
  try { return JSON.parse(load(key)); } catch { return null; }
}
export function keys(prefix) {
  try { return Object.keys(localStorage).filter((key) => key.startsWith(prefix)); } catch { return []; }
}

/** Whether this tab has not done the thing of that name for so long; from now on it has. A browser that keeps nothing never does it. */
export function spare(name, milliseconds) {
  try {
    if (Date.now() - Number(sessionStorage.getItem(name)) < milliseconds) return false;
    sessionStorage.setItem(name, String(Date.now()));
    return true;
  } catch { return false; }
}

// MARK: The signed-in person

const sessionKey = 'skerry.session';
export const isSessionKey = (key) => key === sessionKey || key === null;

/** `{token, user, name, role, …}` as the box answered at sign-in, or null. */
export function session() {
  const kept = loadJSON(sessionKey);
  return typeof kept?.token === 'string' ? kept : null;
}
let memory = null;
export const currentSession = () => session() ?? memory;
export function keepSession(value) {
  memory = value;
  save(sessionKey, JSON.stringify(value));
}
export function dropSession() {
  const user = currentSession()?.user;
  memory = null;
  save(sessionKey, null);
  return user;
}
/** Forgets what belongs to one person on this device: messages not sent and drafts. */
export function forgetUser(user) {
  for (const key of [...keys(`skerry.out.${user}.`), ...keys(`skerry.draft.${user}.`)]) save(key, null);
}

// MARK: Appearance

export function applyTheme() {
  const theme = load('skerry.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
