/* The film on the report page: everything that was read is shown before anything can be signed. */

import { FOCUS_KEYS, KEYS, openStudy, prefetch } from "./viewer.js";
import { bind, made } from "./keys.js";
import { notice } from "./notice.js";

const OURS = new Set(["p", "t"]); // keys that mean something else on this page, unless the film has the focus

/**
 * place: the element. study: its number. report: that of the report on the page, since a study may have two. shown():
 * every film that was read for it has been painted. next: number of the study that is opened next, to have its film ready.
 */
export async function showFilms(place, { study, report, shown, next }) {
  const waiting = new Set();
  let isListed = false;
  const painted = new Set();
  const look = () => {
    if (isListed && [...waiting].every((id) => painted.has(id))) shown();
  };
  place.addEventListener("film-shown", ({ detail }) => {
    painted.add(detail.id);
    look();
  });
  try {
    const viewer = await openStudy(place, study, { report });
    const { films } = viewer.list;
    const readOnes = films.filter(({ read }) => read > 0);
    for (const { id } of readOnes) waiting.add(id);
    isListed = readOnes.length > 0; // where none of them is there, no other film stands in for it
    if (readOnes.length > 1) viewer.showPrior(readOnes[1], "Second film that was read");
    keys(viewer);
    look();
    if (next) void prefetch(next);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    place.replaceChildren(made("p", { className: "empty", textContent: error.message }));
  }
}

function keys(viewer) {
  for (const { key, words, act } of KEYS.filter((one) => !OURS.has(one.key))) {
    bind(key, words, () => act(viewer), { group: "Film" });
  }
  bind("c", "Prior film beside it, or away", async () => {
    const words = await viewer.togglePrior();
    if (words) notice(words, { kind: "wait", stays: false });
  }, { group: "Film" });
  for (const { key, words } of FOCUS_KEYS) bind(key, `${words} (when it has the focus)`, () => {}, { group: "Film" });
}
