/* The film on the page of a study that waits for a person: who says "I looked" has had it before the eyes. */

import { made } from "./keys.js";
import { openStudy } from "./viewer.js";

const place = document.getElementById("film");
const told = document.getElementById("film-told");
const painted = new Set();
const failed = new Set();
let wanted = null; // numbers of the films that count; null: not listed yet
let isListed = true; // false: the list itself cannot be had

/** What was looked at opens the buttons; a film that cannot be shown holds nobody up where another one was shown. */
function look() {
  const seen = (wanted ?? []).filter((id) => painted.has(id));
  const isSeen = seen.length > 0 && wanted.every((id) => painted.has(id) || failed.has(id));
  const buttons = [...document.querySelectorAll("button[data-looks]")];
  for (const button of buttons) button.disabled = !isSeen;
  const isHopeless = !isListed || wanted?.every((id) => failed.has(id)); // also where there is none to show
  if (isSeen || !buttons.length) told.textContent = "";
  else if (isHopeless) told.textContent = `No film can be shown here. Who has looked at it in the site's own viewer says so by a command: ${place.dataset.command ?? "wetread study confirm"}`;
  else if (seen.length) told.textContent = `${seen.length} of ${wanted.length} films were shown. Choose the next one in the list of films.`;
  else told.textContent = "Nothing can be said of the film before it was shown here; all of it must be in sight.";
}

async function start() {
  look();
  place.addEventListener("film-shown", ({ detail }) => { painted.add(detail.id); look(); });
  place.addEventListener("film-failed", ({ detail }) => { failed.add(detail.pane.asked.id); look(); });
  try {
    const viewer = await openStudy(place, Number(place.dataset.study));
    const { films } = viewer.list;
    const counting = films.filter(({ trouble, words }) => !trouble && !words.length); // a conflict is never read
    wanted = counting.map(({ id }) => id);
    if (counting.length === 2 && films[0] === counting[0]) viewer.showPrior(counting[1], "Second film");
    look();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    place.replaceChildren(made("p", { className: "empty", textContent: error.message }));
    isListed = false;
    look();
  }
}

void start();
