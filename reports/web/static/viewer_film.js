// Films as they come from the server: a small picture first, then every value. The formats: deploy/docs/viewer.md.

const MAGIC = 0x4d4c4657; // "WFLM"
const TRIES = 4; // where the server does not show films at this moment
const PRIORS_WITHIN = 30_000; // ms; nobody waits longer for films to compare with, and may ask again
const BUSY_TRIES = 60; // where others are being decoded: that passes, and without the film nothing can be signed

/** Why a film is not shown, in words for people. isOfFilm: it is the film's own fault, and can be shown to nobody. */
export class FilmFailure extends Error {
  constructor(code, words, { isOfFilm = false } = {}) {
    super(words);
    this.name = "FilmFailure";
    this.code = code;
    this.isOfFilm = isOfFilm;
  }
}

/** The small picture as a film of 256 values with the film's own size, where that is known. */
export async function fetchPreview(address, facts, signal) {
  const blob = await (await ask(address, signal)).blob();
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [bitmap.width, bitmap.height];
  const pen = sheet.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  const colors = pen.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const places = new Uint16Array(bitmap.width * bitmap.height);
  for (let i = 0; i < places.length; i++) places[i] = colors[4 * i];
  const known = facts?.width > 0 && facts?.height > 0;
  const [width, height] = known ? [facts.width, facts.height] : [bitmap.width, bitmap.height];
  const level = { width: bitmap.width, height: bitmap.height, across: width / bitmap.width, down: height / bitmap.height, places };
  bitmap.close();
  const gray = { count: 256, values: Float64Array.from({ length: 256 }, (_, value) => value), least: 0, most: 255, span: [0, 255] };
  const shown = { function: "LINEAR_EXACT", center: 127.5, width: 255 };
  return { ...facts, ...gray, width, height, full: false, shown, windows: [], voi: [], inverted: false, padding: null, levels: [level] };
}

/** Every value of a film. */
export async function fetchPixels(address, signal) {
  return parse(await (await ask(address, signal)).arrayBuffer());
}

/** What /study/N/priors.json says: other studies of the patient with their films. Raises FilmFailure, also where it takes too long. */
export async function fetchPriors(address) {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PRIORS_WITHIN);
  try {
    const { priors } = await (await ask(address, patience.signal)).json();
    if (!Array.isArray(priors)) throw new TypeError("no list");
    return priors;
  } catch (error) {
    if (patience.signal.aborted) throw new FilmFailure("late", "The server is busy with other films.");
    if (error instanceof FilmFailure) throw error;
    throw new FilmFailure("truncated", "The list came incomplete."); // it is no "there are none"
  } finally {
    clearTimeout(timer);
  }
}

/** The answer taken apart: MAGIC, length of the header, header, a plane of low bytes and one of high bytes. */
export function parse(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC) throw new FilmFailure("unknown-answer", "The film came in a form that this page does not know. Reload the page.");
  const begin = 8 + view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, begin - 8)));
  const { width, height, planes } = header;
  if (buffer.byteLength !== begin + width * height * planes) throw new FilmFailure("truncated", "The film came incomplete. Reload the page.");
  const places = summed(new Uint8Array(buffer, begin), width, height, planes);
  const values = header.list ? Float64Array.from(header.list) : scaled(header);
  const [least, most] = range(values);
  const voi = header.voi.map(({ explanation, grays }) => ({ explanation, grays: words(grays) }));
  const [low, high] = header.span;
  const span = high > low ? [low, high] : [least, most];
  const levels = [{ width, height, across: 1, down: 1, places }];
  return { ...header, full: true, shown: header.shown ?? { voi: 0 }, values, least, most, span, voi, levels };
}

/** The level for a scale (device pixels per film pixel); halves are made when they are first needed. */
export function levelFor(film, scale) {
  if (!film.full) return film.levels[0];
  const wanted = Math.max(0, Math.floor(Math.log2(1 / scale) + 0.3));
  while (film.levels.length <= wanted && Math.min(film.levels.at(-1).width, film.levels.at(-1).height) > 1) film.levels.push(halved(film.levels.at(-1)));
  return film.levels[Math.min(wanted, film.levels.length - 1)];
}

/** Means of two by two; the last row and column count twice where there is an odd number. */
export function halved({ width, height, across, down, places }) {
  const [columns, rows] = [(width + 1) >> 1, (height + 1) >> 1];
  const means = new Uint16Array(columns * rows);
  for (let y = 0, at = 0; y < rows; y++) {
    const upper = 2 * y * width;
    const lower = Math.min(2 * y + 1, height - 1) * width;
    for (let x = 0; x < columns; x++, at++) {
      const left = 2 * x;
      const right = Math.min(left + 1, width - 1);
      means[at] = (places[upper + left] + places[upper + right] + places[lower + left] + places[lower + right] + 2) >> 2;
    }
  }
  return { width: columns, height: rows, across: across * 2, down: down * 2, places: means };
}

async function ask(address, signal) {
  for (let tried = 1; ; tried++) {
    const answer = await fetched(address, { signal, credentials: "same-origin", headers: { Accept: "image/jpeg, application/octet-stream, application/json" } });
    const kind = answer.headers.get("Content-Type") ?? "";
    if (answer.ok && !kind.startsWith("text/")) return answer;
    if (answer.ok || answer.status === 401) throw new FilmFailure("signed-out", "The session has ended. Sign in again to see the film.");
    const said = kind.startsWith("application/json") ? await answer.json().catch(() => ({})) : {};
    const tries = said.code === "busy" ? BUSY_TRIES : TRIES;
    if (answer.status !== 503 || tried >= tries) throw new FilmFailure(said.code ?? `http-${answer.status}`, said.detail ?? `The film could not be fetched (${answer.status}).`, { isOfFilm: !said.passes && (answer.status === 422 || answer.status === 410) });
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("Retry-After") ?? 1)));
  }
}

async function fetched(address, how) {
  try {
    return await fetch(address, how);
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new FilmFailure("network", "The film could not be fetched. Is the network there? Reload the page.");
  }
}

/** Sums along each row of differences modulo 2^16, or 2^8 where there is one plane. */
function summed(bytes, width, height, planes) {
  const size = width * height;
  const places = new Uint16Array(size);
  for (let row = 0; row < size; row += width) {
    let sum = 0;
    if (planes === 2) for (let at = row; at < row + width; at++) places[at] = sum = (sum + bytes[at] + (bytes[size + at] << 8)) & 0xffff;
    else for (let at = row; at < row + width; at++) places[at] = sum = (sum + bytes[at]) & 0xff;
  }
  return places;
}

function scaled({ count, lowest, step, slope, intercept }) {
  const values = new Float64Array(count);
  for (let place = 0; place < count; place++) values[place] = (lowest + place * 2 ** step) * slope + intercept;
  return values;
}

function range(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}

function words(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Uint16Array(bytes.buffer);
}
