// From stored values to grays. A film is a list of places (one per pixel) in the values that can occur; whatever is done
// to the gray scale is done to that list, in double precision, and the screen only looks it up.

/** Gray from 0 to 1 by a VOI LUT Function (PS3.3 C.11.2.1.2 and C.11.2.1.3). */
export function curve(kind, center, width) {
  switch (kind) {
    case "SIGMOID":
      return (x) => 1 / (1 + Math.exp((-4 * (x - center)) / width));
    case "LINEAR_EXACT":
      return (x) => (x <= center - width / 2 ? 0 : x > center + width / 2 ? 1 : (x - center) / width + 0.5);
    case "LINEAR": {
      const low = center - 0.5 - (width - 1) / 2;
      const high = center - 0.5 + (width - 1) / 2;
      return (x) => (x <= low ? 0 : x > high ? 1 : (x - (center - 0.5)) / (width - 1) + 0.5);
    }
    default:
      throw new RangeError(`no VOI LUT Function: ${kind}`);
  }
}

/** The narrowest width that a function allows. */
export function narrowest(kind) {
  return kind === "LINEAR" ? 1 : 1e-3;
}

/**
 * Grays of all places, 8 bits. look: {function, center, width} or {voi: number}; inverted: by a person, beside what the
 * film itself asks for. Padding stays black.
 */
export function lookup(film, look, inverted = false) {
  const grays = new Uint8Array(film.count);
  const flip = film.inverted !== inverted;
  if (look.voi !== undefined) {
    const table = film.voi[look.voi].grays;
    for (let place = 0; place < film.count; place++) grays[place] = eight(table[place] / 65535, flip);
  } else {
    const gray = curve(look.function, look.center, look.width);
    for (let place = 0; place < film.count; place++) grays[place] = eight(gray(film.values[place]), flip);
  }
  if (film.padding) grays.fill(0, film.padding[0], film.padding[1] + 1);
  return grays;
}

function eight(gray, flip) {
  return Math.round((flip ? 1 - gray : gray) * 255);
}

/**
 * What can be chosen: the film's own ways first, then parts of its range. Radiographs have no Hounsfield units, so lung,
 * soft tissue and bone are shares of where this film's anatomy lies, counted from dark to bright.
 */
export function presets(film) {
  const own = [];
  film.voi.forEach((one, voi) => own.push({ name: `own-${own.length + 1}`, words: one.explanation || numbered("VOI LUT", voi, film.voi), look: { voi } }));
  film.windows.forEach((one, place) => {
    const look = { function: one.function, center: one.center, width: one.width };
    own.push({ name: `own-${own.length + 1}`, words: one.explanation || numbered("Film's window", place, film.windows), look });
  });
  if (film.shown && !own.some((one) => same(one.look, film.shown))) own.unshift({ name: "automatic", words: "Automatic", look: film.shown });
  const [low, high] = film.span;
  const share = (center, width) => {
    const middle = film.inverted ? high - center * (high - low) : low + center * (high - low);
    return { function: "LINEAR_EXACT", center: middle, width: Math.max(width * (high - low), 1e-3) };
  };
  return [
    ...own,
    { name: "full", words: "Full range", look: between(film.least, film.most) },
    { name: "lung", words: "Lung (relative)", look: share(0.4, 0.75) },
    { name: "soft", words: "Mediastinum (relative)", look: share(0.65, 0.5) },
    { name: "bone", words: "Bone (relative)", look: share(0.75, 0.75) },
  ];
}

/** A straight ramp from the first to the last value. */
export function between(low, high) {
  return { function: "LINEAR_EXACT", center: (low + high) / 2, width: Math.max(high - low, 1e-3) };
}

function numbered(words, place, all) {
  return all.length > 1 ? `${words} ${place + 1}` : words;
}

export function same(one, other) {
  return one.voi === other.voi && one.function === other.function && one.center === other.center && one.width === other.width;
}
