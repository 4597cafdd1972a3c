// Requests to `/v1`. The token goes into the Authorization field and nowhere else.

import { currentSession } from './storage.js';

/** A refusal with its code of the registry, or `offline` when nobody answered. */
export class Refusal extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title ?? problem.code);
    Object.assign(this, { code: problem.code ?? 'unknown', status: problem.status, detail: problem.detail, temporary: problem.temporary === true,
      retryAfter: problem.retryAfter, field: problem.errors?.[0]?.field });
  }
}
export const offline = () => new Refusal({ code: 'offline', temporary: true });

let base = '';
/** From now on requests go to the box at that address; empty: the one this page came from. The chat follows its WebSocket. */
export function useBox(address) { base = address; }

export async function api(method, path, body, { token = currentSession()?.token, at = base, seconds } = {}) {
  let answer;
  try {
    answer = await fetch(`${at}/v1${path}`, {
      method,
      signal: seconds ? AbortSignal.timeout(seconds * 1000) : undefined,
      headers: { ...(body ? { 'Content-Type': 'application/json' } : {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) },
      body: body ? JSON.stringify(body) : undefined,
      cache: 'no-store',
      credentials: 'omit',
    });
  } catch {
    throw offline();
  }
  if (answer.status === 204) return null;
  let value = null;
  try { value = await answer.json(); } catch { /* an answer from something in between; its status has to do */ }
  if (answer.ok && value) return value;
  throw new Refusal({ code: answer.status === 401 ? 'unauthenticated' : answer.status >= 500 ? 'unavailable' : 'unknown', status: answer.status,
    temporary: answer.status >= 500 || answer.status === 429, ...value });
}

export const seg = encodeURIComponent;

/** What this browser is called in the list of devices. */
export function deviceName() {
  const agent = navigator.userAgent;
  const browser = /Edg/.test(agent) ? 'Edge' : /Firefox/.test(agent) ? 'Firefox' : /Chrom/.test(agent) ? 'Chrome' : /Safari/.test(agent) ? 'Safari' : 'Browser';
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Windows/.test(agent) ? 'Windows' : /Mac OS/.test(agent) ? 'macOS'
    : /Linux/.test(agent) ? 'Linux' : '';
  return system ? `${browser} · ${system}` : browser;
}
