/* The film on the page of a study that waits for a person: who says "I looked" has had it before the eyes. */

import { made } from "./keys.js";
import { openStudy } from "./viewer.js";

const place = document.getElementById("film");
const told = document.getElementById("film-told");
const painted = new Set();
const failed = new Set();
const hopeless = new Set(); // of those what can be shown to nobody
let wanted = null; // numbers of the films that count; null: not listed yet
let isListed = true; // false: the list itself cannot be had

/** What was looked at opens the buttons; a film that nobody can be shown holds nobody up where another one was shown. */
function look() {
  const seen = (wanted ?? []).filter((id) => painted.has(id));
  const isSeen = seen.length > 0 && wanted.every((id) => painted.has(id) || hopeless.has(id));
  const buttons = [...document.querySelectorAll("button[data-looks]")];
  for (const button of buttons) button.disabled = !isSeen;
  const isOver = !isListed || wanted?.every((id) => painted.has(id) || failed.has(id)); // also where there is none to show
  const counted = seen.length ? `${seen.length} of ${wanted.length} films ${seen.length === 1 ? "was" : "were"} shown.` : "";
  if (isSeen || !buttons.length) told.textContent = "";
  else if (isOver) told.textContent = `${counted || "No film can be shown here."} ${place.dataset.elsewhere}`;
  else if (counted) told.textContent = `${counted} Choose the next one in the list of films.`;
  else told.textContent = "Nothing can be said of the film before it was shown here; all of it must be in sight.";
}

async function start() {
  look();
  place.addEventListener("film-shown", ({ detail }) => { painted.add(detail.id); look(); });
  place.addEventListener("film-failed", ({ detail }) => {
    failed.add(detail.pane.asked.id);
    if (detail.isOfFilm) hopeless.add(detail.pane.asked.id);
    look();
  });
  for (const button of document.querySelectorAll("button[data-looks]")) {
    button.form.addEventListener("formdata", ({ formData }) => { for (const id of painted) formData.append("shown", id); });
  }
  try {
    const viewer = await openStudy(place, Number(place.dataset.study));
    const { films } = viewer.list;
    const counting = films.filter(({ trouble, words }) => (!trouble || trouble.passes) && !words.length); // a conflict is never read
    wanted = counting.map(({ id }) => id);
    for (const { id, trouble } of counting) if (trouble) failed.add(id); // no pane asks for it
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
