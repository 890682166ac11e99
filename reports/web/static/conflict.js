/* Two texts of one report: what was typed here, and what the server has by now. A person chooses. */

import { choosing } from "./acts.js";
import { difference } from "./difference.js";
import { isQuiet, quiet } from "./keys.js";
import { TITLES } from "./told.js";
import { chipsInWords } from "./unsaved.js";

/** page: the report page. Gives the version to go on with, or null where the server's text was taken. Raises Refused. */
export async function conflict(page) {
  let desk = null;
  do { // who has gone on typing before the text came would type into the dialog
    await quiet();
    desk = await page.answers.newest(() => page.calls.look());
  } while (!isQuiet());
  const compared = differences(page.words(), desk);
  const isSame = compared.every(([, runs]) => runs.every(({ mark }) => mark === "="));
  const choice = isSame ? "theirs" : await choosing(document.getElementById("ask-conflict"), compared);
  if (choice === "theirs") {
    page.take(desk);
    page.saving.forget();
    return null;
  }
  page.render(desk);
  return desk.version;
}

/** [title, runs] of each section, and of the findings that were set where they differ. */
function differences(mine, { text, chips }) {
  const sections = Object.entries(TITLES).map(([name, title]) => [title, difference(mine[name], text[name])]);
  const [set, theirs] = [chipsInWords(mine.chips), chipsInWords(chips)];
  return set === theirs ? sections : [...sections, ["Findings that were set", difference(set, theirs)]];
}
