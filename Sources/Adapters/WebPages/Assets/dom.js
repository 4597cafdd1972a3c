// Elements without markup strings: whatever comes from people or the box becomes a text node or an attribute, never HTML.

/** Makes an element. `on…` are listeners, `class` and the rest attributes; true is an empty attribute, false and null are none. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  set(element, props);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function set(element, props) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value === false || value === null || value === undefined) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
}

const shapes = {
  back: 'M15 5l-7 7 7 7',
  plus: 'M12 5v14M5 12h14',
  send: 'M4.5 12L20 4.5 15 20l-3.5-6.5zM11.5 13.5L20 4.5',
  smile: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.5 14.5c1 1.3 2.2 2 3.5 2s2.5-.7 3.5-2M9 9.5v.5M15 9.5v.5',
  more: 'M5.5 12h.01M12 12h.01M18.5 12h.01',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5.5M12 7.7v.1',
  gear: 'M4 7.5h8.5M17.5 7.5H20M4 16.5h2.5M11.5 16.5H20M15 10a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM9 19a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z',
  reply: 'M10 6L4.5 11.5 10 17M5 11.5h8a6.5 6.5 0 0 1 6.5 6.5v.5',
  pin: 'M12 21.5s-7-6.3-7-11.5a7 7 0 0 1 14 0c0 5.2-7 11.5-7 11.5zM12 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  checks: 'M2 12.5l4.5 4.5L16 7.5M11.5 16l1 1L22 7.5',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.5 2',
  alert: 'M12 3.5L2.5 20h19zM12 10v4.5M12 17.2v.1',
  close: 'M6 6l12 12M18 6L6 18',
  down: 'M12 5v14M5.5 12.5L12 19l6.5-6.5',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20.5 20.5',
  people: 'M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.5c.5-3.5 3-5.5 6.5-5.5s6 2 6.5 5.5M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.5c2 .8 3.2 2.5 3.5 5',
  person: 'M12 11.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5c.6-4 3.5-6 7.5-6s6.9 2 7.5 6',
  file: 'M6.5 3h7l4.5 4.5V21h-11.5zM13.5 3v4.5H18',
  code: 'M8.5 7L3.5 12l5 5M15.5 7l5 5-5 5',
  pencil: 'M4 20l1-4.5L15.5 5l3.5 3.5L8.5 19zM13.5 7l3.5 3.5',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
  eye: 'M2.5 12s3.5-6.5 9.5-6.5 9.5 6.5 9.5 6.5-3.5 6.5-9.5 6.5S2.5 12 2.5 12zM12 14.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6z',
  chat: 'M4 5h16v11.5H11L6.5 20.5v-4H4z',
  signal: 'M5 19v-4M10 19v-8M15 19V8M20 19V4.5',
  ticket: 'M3 7.5h18v3a1.8 1.8 0 0 0 0 3.5v3H3v-3a1.8 1.8 0 0 0 0-3.5zM14.5 7.5v9',
  boxes: 'M9 3.5h6v6H9zM3 14.5h6v6H3zM15 14.5h6v6h-6zM12 9.5v2.5M6 14.5V12h12v2.5',
  warning: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7.5v5.5M12 16.2v.1',
  link: 'M10 14l4-4M11 7.5l2-2a4 4 0 0 1 5.7 5.7l-2 2M13 16.5l-2 2a4 4 0 0 1-5.7-5.7l2-2',
  plug: 'M9 3v5M15 3v5M6.5 8h11v3.5a5.5 5.5 0 0 1-11 0zM12 17v4',
};

/** A line drawing, hidden from assistive technology: the control that holds it has the name. */
export function icon(name, className = '') {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', `icon i-${name} ${className}`);
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(space, 'path');
  path.setAttribute('d', shapes[name]);
  svg.append(path);
  return svg;
}

export function button(label, props, ...children) {
  return h('button', { type: 'button', ...props }, ...(children.length ? children : [label]));
}

/** A button with a drawing only; the label is its name and its tooltip. */
export function iconButton(name, label, props) {
  return h('button', { type: 'button', title: label, 'aria-label': label, ...props, class: `icon-button ${props?.class ?? ''}` }, icon(name));
}

export const hidden = (text) => h('span', { class: 'sr' }, text);

let fieldNumber = 0;
/** A labelled input with room for a hint and an error that assistive technology finds. */
export function field(label, props, { hint, control } = {}) {
  const id = `f${++fieldNumber}`;
  const input = control ?? h('input', { ...props, id });
  input.id = id;
  const error = h('p', { class: 'field-error', id: `${id}e`, hidden: true });
  const note = hint ? h('p', { class: 'hint', id: `${id}h` }, hint) : null;
  input.setAttribute('aria-describedby', hint ? `${id}h ${id}e` : `${id}e`);
  const wrap = h('div', { class: 'field' }, h('label', { for: id }, label), input, note, error);
  wrap.input = input;
  wrap.fail = (text) => {
    error.hidden = !text;
    error.textContent = text ?? '';
    set(input, { 'aria-invalid': text ? 'true' : null });
  };
  return wrap;
}

// MARK: Messages to the person

let toastArea;
export function toast(text, kind = 'info') {
  if (!toastArea) document.body.append((toastArea = h('div', { class: 'toasts', role: 'status' })));
  // A modal dialog makes the rest of the page inert, so the note has to be inside it to be seen and heard.
  ([...document.querySelectorAll('dialog[open]')].pop() ?? document.body).append(toastArea);
  const note = h('div', { class: `toast ${kind}` }, text);
  toastArea.append(note);
  setTimeout(() => note.remove(), 6000);
}

// MARK: Dialogs

/** Opens a modal dialog; Escape and the close button close it, and the focus goes back to where it was. */
export function dialog(title, content, { closeLabel, className = '', onclose } = {}) {
  const heading = h('h2', { id: `d${++fieldNumber}` }, title);
  const element = h('dialog', { class: className, 'aria-labelledby': heading.id },
    h('header', {}, heading, iconButton('close', closeLabel, { class: 'close', onclick: () => element.close() })),
    h('div', { class: 'dialog-body' }, content));
  const before = document.activeElement;
  element.addEventListener('click', (event) => { if (event.target === element) element.close(); });
  element.addEventListener('close', () => {
    if (toastArea && element.contains(toastArea)) document.body.append(toastArea);
    element.remove();
    onclose?.();
    // The browser has given the focus back already; what took it since then keeps it.
    const now = document.activeElement;
    if (before?.isConnected && (!now || now === document.body)) before.focus();
  });
  document.body.append(element);
  element.showModal();
  // Where nothing asks for the focus it is on the close button: a field would open the keyboard of a phone over what one came to read.
  element.querySelector('[autofocus]')?.focus();
  return element;
}

export function confirmDialog(title, text, action, cancel, { danger = true } = {}) {
  return new Promise((resolve) => {
    let answer = false;
    const box = dialog(title, [
      h('p', {}, text),
      h('div', { class: 'row end' },
        button(cancel, { class: 'plain', autofocus: true, onclick: () => box.close() }),
        button(action, { class: danger ? 'danger' : 'primary', onclick: () => { answer = true; box.close(); } })),
    ], { closeLabel: cancel, className: 'small', onclose: () => resolve(answer) });
  });
}

// MARK: Popups

/** Shows something beside a button until Escape, a click elsewhere or `close()`; gives the focus back. */
export function popup(anchor, content, { onclose } = {}) {
  document.querySelector('.popup')?.dismiss();
  const element = h('div', { class: 'popup' }, content);
  // Inside a modal dialog the rest of the page is inert.
  (anchor.closest('dialog') ?? document.body).append(element);
  const place = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = element;
  const left = Math.max(8, Math.min(place.right - width, innerWidth - width - 8));
  const above = place.top - height - 6;
  element.style.left = `${left}px`;
  element.style.top = `${above >= 8 ? above : Math.max(8, Math.min(place.bottom + 6, innerHeight - height - 8))}px`;
  const outside = (event) => { if (!element.contains(event.target) && !anchor.contains(event.target)) element.dismiss(false); };
  element.dismiss = (refocus = true) => {
    document.removeEventListener('pointerdown', outside, true);
    anchor.setAttribute('aria-expanded', 'false');
    element.remove();
    onclose?.();
    if (refocus && anchor.isConnected) anchor.focus();
  };
  element.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault();
      event.stopPropagation();
      element.dismiss();
    }
  });
  anchor.setAttribute('aria-expanded', 'true');
  document.addEventListener('pointerdown', outside, true);
  return element;
}

/** Moves the focus among the items with the arrow keys, Home and End; one of them is in the tab order. */
export function roving(container, selector, columns = 1) {
  const items = () => [...container.querySelectorAll(selector)];
  const focus = (item) => {
    for (const other of items()) other.tabIndex = other === item ? 0 : -1;
    item.focus();
  };
  items().forEach((item, index) => { item.tabIndex = index === 0 ? 0 : -1; });
  container.addEventListener('keydown', (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const next = event.key === 'Home' ? 0 : event.key === 'End' ? all.length - 1 : step === undefined ? -1 : at + step;
    if (step !== undefined || event.key === 'Home' || event.key === 'End') event.preventDefault();
    if (all[next]) focus(all[next]);
  });
}

export function menu(anchor, items, header) {
  const list = h('div', { class: 'menu', role: 'menu', 'aria-label': anchor.getAttribute('aria-label') });
  const box = popup(anchor, [header, list].filter(Boolean));
  for (const item of items) {
    list.append(h('button', {
      type: 'button', role: 'menuitem', class: item.danger ? 'danger-text' : '',
      onclick: () => { box.dismiss(); item.run(); },
    }, icon(item.icon), item.label));
  }
  roving(box, 'button');
  box.querySelector('button')?.focus();
  return box;
}

// MARK: People

/** A circle with the first letter, in one of eight colours that stay the same for the same id. */
export function avatar(id, name, className = '') {
  let sum = 0x811c9dc5; // FNV-1a; its upper bits are the well mixed ones
  for (const letter of id ?? '') sum = Math.imul(sum ^ letter.codePointAt(0), 0x01000193);
  return h('span', { class: `avatar a${(sum >>> 15) % 8} ${className}`, 'aria-hidden': 'true' }, [...(name || '?')][0].toUpperCase());
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS there is no clipboard interface; the old way still works.
    const area = h('textarea', { class: 'sr', 'aria-hidden': 'true' });
    area.value = text;
    ([...document.querySelectorAll('dialog[open]')].pop() ?? document.body).append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    if (!copied) throw new Error('not copied');
  }
}
