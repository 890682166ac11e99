// Where a film lies on the screen. A view: {x, y, scale, turns, mirrored}: the film's point (x, y), in its pixels, is in
// the middle; scale is device pixels per film pixel; turns are quarters clockwise, after mirroring left and right.

const MOST = 32;
const ENOUGH = 0.9; // of the film's box
const FULL = 0.75; // of the window, where the box is larger: a bar of tools may stay above it
const LEAST = 128; // CSS pixels; less is a strip
const COSINES = [1, 0, -1, 0];
const SINES = [0, 1, 0, -1];

/** The whole film, as large as it fits. */
export function fitted(film, box, { turns = 0, mirrored = false } = {}) {
  const [width, height] = turns % 2 ? [film.height, film.width] : [film.width, film.height];
  return { x: film.width / 2, y: film.height / 2, scale: Math.min(box.width / width, box.height / height), turns, mirrored };
}

/** The matrix [a, b, c, d, e, f] from film to screen, as canvases take it: x' = a x + c y + e, y' = b x + d y + f. */
export function matrix(view, box) {
  const [cosine, sine] = [COSINES[view.turns] * view.scale, SINES[view.turns] * view.scale];
  const flip = view.mirrored ? -1 : 1;
  const [a, b, c, d] = [cosine * flip, sine * flip, -sine, cosine];
  const round = view.scale === 1 ? Math.round : (number) => number; // film pixels on device pixels
  return [a, b, c, d, round(box.width / 2 - a * view.x - c * view.y), round(box.height / 2 - b * view.x - d * view.y)];
}

/** The way back. */
export function inverse([a, b, c, d, e, f]) {
  const size = a * d - b * c;
  return [d / size, -b / size, -c / size, a / size, (c * f - d * e) / size, (b * e - a * f) / size];
}

export function apply([a, b, c, d, e, f], x, y) {
  return [a * x + c * y + e, b * x + d * y + f];
}

/** Nearer or farther, while the point of the screen (device pixels) keeps its place in the film. */
export function zoomed(view, film, box, factor, point = { x: box.width / 2, y: box.height / 2 }) {
  const least = fitted(film, box, view).scale / 4;
  const scale = Math.min(Math.max(view.scale * factor, Math.min(least, 1)), MOST);
  const [x, y] = apply(inverse(matrix(view, box)), point.x, point.y);
  const there = { ...view, scale };
  const [after, below] = apply(inverse(matrix(there, box)), point.x, point.y);
  return kept({ ...there, x: view.x + x - after, y: view.y + y - below }, film);
}

/** Moved by so many device pixels. */
export function moved(view, film, across, down) {
  const [a, b, c, d] = inverse(matrix(view, { width: 0, height: 0 }));
  return kept({ ...view, x: view.x - (a * across + c * down), y: view.y - (b * across + d * down) }, film);
}

/** A film cannot be lost: its edge stays on this side of the middle. */
function kept(view, film) {
  return { ...view, x: Math.min(Math.max(view.x, 0), film.width), y: Math.min(Math.max(view.y, 0), film.height) };
}

/** What the tags say is right, below, left and above as the film is turned now; null where they say nothing. */
export function sides(orientation, { turns, mirrored }) {
  if (orientation?.length !== 2 || !orientation[0] || !orientation[1]) return null;
  const [row, column] = orientation;
  let around = [row, column, opposite(row), opposite(column)]; // right, below, left, above
  if (mirrored) around = [around[2], around[1], around[0], around[3]];
  return around.map((_, place) => around[(place - turns + 4) % 4]);
}

const OPPOSITES = new Map([["A", "P"], ["P", "A"], ["L", "R"], ["R", "L"], ["H", "F"], ["F", "H"]]);

function opposite(letters) {
  return [...letters].map((letter) => OPPOSITES.get(letter) ?? "").join("");
}

/** Shares at which an IntersectionObserver asks `isSeen`: finely, for a film may be many times as high as the window. */
export const SHARES = Object.freeze(Array.from({ length: 201 }, (_, step) => step / 200));

/** Can a person see it? An entry of an IntersectionObserver: all of it but a margin, or a window full of it. */
export function isSeen({ isIntersecting, intersectionRect: seen, boundingClientRect: whole, rootBounds }) {
  if (!isIntersecting) return false;
  const [wide, high] = [rootBounds?.width ?? window.innerWidth, rootBounds?.height ?? window.innerHeight];
  const is = (length, full, room) => length >= LEAST && length >= Math.min(ENOUGH * full, FULL * room);
  return is(seen.width, whole.width, wide) && is(seen.height, whole.height, high);
}
