// QR codes (ISO/IEC 18004, model 2) for links: byte mode, error correction level M, versions 1 to 15.

// Of each version: error-correction codewords a block, blocks of the first kind, data codewords of each; blocks of the second kind have one more.
const versions = [
  [10, 1, 16, 0], [16, 1, 28, 0], [26, 1, 44, 0], [18, 2, 32, 0], [24, 2, 43, 0], [16, 4, 27, 0], [18, 4, 31, 0], [22, 2, 38, 2], [22, 3, 36, 2],
  [26, 4, 43, 1], [30, 1, 50, 4], [22, 6, 36, 2], [22, 8, 37, 1], [24, 4, 40, 5], [24, 5, 41, 5],
];
const alignments = [
  [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50], [6, 30, 54], [6, 32, 58], [6, 34, 62],
  [6, 26, 46, 66], [6, 26, 48, 70],
];
const masks = [
  (r, c) => (r + c) % 2 === 0, (r) => r % 2 === 0, (r, c) => c % 3 === 0, (r, c) => (r + c) % 3 === 0,
  (r, c) => (Math.floor(r / 2) + Math.floor(c / 3)) % 2 === 0, (r, c) => ((r * c) % 2) + ((r * c) % 3) === 0,
  (r, c) => (((r * c) % 2) + ((r * c) % 3)) % 2 === 0, (r, c) => (((r + c) % 2) + ((r * c) % 3)) % 2 === 0,
];

// The field GF(256) of the Reed-Solomon code, polynomial 0x11D.
const exp = new Uint8Array(512);
const log = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i += 1) { exp[i] = exp[i + 255] = x; log[x] = i; x = (x << 1) ^ (x & 0x80 ? 0x11d : 0); }
const multiply = (a, b) => (a && b ? exp[log[a] + log[b]] : 0);

function correction(data, count) {
  let generator = [1];
  for (let i = 0; i < count; i += 1) {
    const next = new Array(generator.length + 1).fill(0);
    generator.forEach((value, at) => { next[at] ^= value; next[at + 1] ^= multiply(value, exp[i]); });
    generator = next;
  }
  const rest = [...data, ...new Array(count).fill(0)];
  for (let i = 0; i < data.length; i += 1) {
    const factor = rest[i];
    if (factor) generator.forEach((value, at) => { rest[i + at] ^= multiply(value, factor); });
  }
  return rest.slice(data.length);
}

const capacity = ([, first, size, second]) => first * size + second * (size + 1);

/** The codewords in the order in which they are drawn. */
function codewords(bytes, version) {
  const [extra, first, size, second] = versions[version - 1];
  const total = capacity(versions[version - 1]);
  const bits = [];
  const put = (value, count) => { for (let i = count - 1; i >= 0; i -= 1) bits.push((value >> i) & 1); };
  put(0b0100, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) put(byte, 8);
  put(0, Math.min(4, total * 8 - bits.length));
  while (bits.length % 8) bits.push(0);
  const data = [];
  for (let i = 0; i < bits.length; i += 8) data.push(bits.slice(i, i + 8).reduce((value, bit) => value * 2 + bit, 0));
  for (let pad = 0xec; data.length < total; pad ^= 0xec ^ 0x11) data.push(pad);
  const blocks = [];
  for (let i = 0, at = 0; i < first + second; i += 1) {
    const length = i < first ? size : size + 1;
    blocks.push(data.slice(at, at + length));
    at += length;
  }
  const corrections = blocks.map((block) => correction(block, extra));
  const out = [];
  for (let i = 0; i <= size; i += 1) for (const block of blocks) if (i < block.length) out.push(block[i]);
  for (let i = 0; i < extra; i += 1) for (const block of corrections) out.push(block[i]);
  return out;
}

function bch(value, generator, bits) {
  let rest = value << bits;
  const top = 32 - Math.clz32(generator);
  while (32 - Math.clz32(rest) >= top && rest) rest ^= generator << (32 - Math.clz32(rest) - top);
  return (value << bits) | rest;
}

/** The modules as rows of true and false, without the quiet zone; null when the text is too long. `mask` is for tests. */
export function qrCode(text, { mask: wanted } = {}) {
  const bytes = new TextEncoder().encode(text);
  const index = versions.findIndex((row, at) => bytes.length + (at < 9 ? 2 : 3) <= capacity(row));
  if (index < 0) return null;
  const version = index + 1;
  const size = 17 + 4 * version;
  const fixed = Array.from({ length: size }, () => new Array(size).fill(null));
  const set = (r, c, dark) => { if (r >= 0 && c >= 0 && r < size && c < size) fixed[r][c] = dark; };

  for (const [row, column] of [[0, 0], [0, size - 7], [size - 7, 0]]) {
    for (let r = -1; r <= 7; r += 1) for (let c = -1; c <= 7; c += 1) {
      const ring = Math.max(Math.abs(r - 3), Math.abs(c - 3));
      set(row + r, column + c, ring !== 2 && ring !== 4);
    }
  }
  const centres = alignments[index];
  for (const row of centres) for (const column of centres) {
    const last = centres[centres.length - 1];
    if ((row === 6 && column === 6) || (row === 6 && column === last) || (row === last && column === 6)) continue;
    for (let r = -2; r <= 2; r += 1) for (let c = -2; c <= 2; c += 1) set(row + r, column + c, Math.max(Math.abs(r), Math.abs(c)) !== 1);
  }
  for (let i = 8; i < size - 8; i += 1) { fixed[6][i] = i % 2 === 0; fixed[i][6] = i % 2 === 0; }
  fixed[size - 8][8] = true;

  const formatPlaces = [];
  for (let i = 0; i < 15; i += 1) {
    formatPlaces.push([
      i < 6 ? [i, 8] : i < 8 ? [i + 1, 8] : i === 8 ? [8, 7] : [8, 14 - i],
      i < 8 ? [8, size - 1 - i] : [size - 15 + i, 8],
    ]);
  }
  for (const pair of formatPlaces) for (const [r, c] of pair) fixed[r][c] ??= false;
  if (version >= 7) {
    const word = bch(version, 0x1f25, 12);
    for (let i = 0; i < 18; i += 1) {
      const [r, c] = [Math.floor(i / 3), size - 11 + (i % 3)];
      fixed[r][c] = fixed[c][r] = Boolean((word >> i) & 1);
    }
  }

  const words = codewords(bytes, version);
  const bitAt = (i) => Boolean((words[i >> 3] >> (7 - (i & 7))) & 1);
  const draw = (mask) => {
    const grid = fixed.map((row) => [...row]);
    let at = 0;
    for (let right = size - 1; right > 0; right -= 2) {
      if (right === 6) right = 5;
      const upwards = ((right + 1) & 2) === 0;
      for (let step = 0; step < size; step += 1) {
        const r = upwards ? size - 1 - step : step;
        for (const c of [right, right - 1]) {
          if (fixed[r][c] !== null) continue;
          grid[r][c] = (at < words.length * 8 && bitAt(at)) !== masks[mask](r, c);
          at += 1;
        }
      }
    }
    const format = bch(mask, 0x537, 10) ^ 0x5412; // level M is 00
    formatPlaces.forEach((pair, i) => { for (const [r, c] of pair) grid[r][c] = Boolean((format >> i) & 1); });
    return grid;
  };
  if (wanted !== undefined) return draw(wanted);
  return masks.map((_, mask) => draw(mask)).reduce((best, grid) => (penalty(grid) < penalty(best) ? grid : best));
}

/** How hard the pattern is to read (ISO/IEC 18004 §7.8.3): runs, squares, things that look like a finder, imbalance. */
function penalty(grid) {
  const size = grid.length;
  let sum = 0;
  let dark = 0;
  for (const line of [...grid, ...grid.map((_, c) => grid.map((row) => row[c]))]) {
    for (let i = 0, run = 0; i < size; i += 1) {
      run = i > 0 && line[i] === line[i - 1] ? run + 1 : 1;
      if (run === 5) sum += 3;
      else if (run > 5) sum += 1;
    }
    const text = line.map(Number).join('');
    for (let at = 0; at + 11 <= size; at += 1) {
      const part = text.slice(at, at + 11);
      if (part === '10111010000' || part === '00001011101') sum += 40;
    }
  }
  for (let r = 0; r < size; r += 1) for (let c = 0; c < size; c += 1) {
    if (grid[r][c]) dark += 1;
    if (r > 0 && c > 0 && grid[r][c] === grid[r - 1][c] && grid[r][c] === grid[r][c - 1] && grid[r][c] === grid[r - 1][c - 1]) sum += 3;
  }
  return sum + 10 * Math.floor(Math.abs((dark * 100) / (size * size) - 50) / 5);
}

/** A drawing of the code with its quiet zone, black on white in every theme; null when the text is too long. */
export function qrImage(text, label) {
  const grid = qrCode(text);
  if (!grid) return null;
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  const size = grid.length + 8;
  svg.setAttribute('viewBox', `0 0 ${size} ${size}`);
  svg.setAttribute('class', 'qr');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  svg.setAttribute('shape-rendering', 'crispEdges');
  const path = document.createElementNS(space, 'path');
  path.setAttribute('d', grid.map((row, r) => row.map((isDark, c) => (isDark ? `M${c + 4} ${r + 4}h1v1h-1z` : '')).join('')).join(''));
  svg.append(path);
  return svg;
}
