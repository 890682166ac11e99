/* What the report page tells above the text: who has it open, who signed first, what this person wrote before. */

import { made } from "./keys.js";
import { clock, moment } from "./moments.js";

export const TITLES = { findings: "Findings", impression: "Impression" };

/** Is it handed to somebody else? Then it is opened by a press of a button, and not by looking at it. */
export const keptForAnother = ({ handed }) => Boolean(handed) && !handed.you;

/** A button that does something. */
export function button(words, then) {
  const one = made("button", { type: "button", textContent: words });
  one.addEventListener("click", then);
  return one;
}

/** desk: the state. open(): try to open it now. act(name): do it. use(name, words): put words into a section. Gives the lines. */
export function told({ open, mine, holder, handed, openable, first, beside, older, obstacles }, { open: openNow, act, use }) {
  const lines = beside ? [besides(beside, obstacles, act)] : [];
  if (open && !mine && holder) {
    const line = made("p", { className: "said wait" });
    line.append(made("strong", { textContent: `Opened by ${holder.name} since ${clock(holder.since)}.` }),
      " You can read it. It is free when they leave it, hand it over, or are silent for two minutes. ",
      button("Open it now", openNow));
    lines.push(line);
  }
  if (open && !holder && handed) {
    const line = made("p", { className: "said wait" });
    line.append(made("strong", { textContent: `Handed to ${handed.you ? "you" : handed.name} since ${clock(handed.since)}.` }));
    if (openable && !handed.you) line.append(" It is kept for them for half an hour, or until somebody opens it. ", button("Open it all the same", openNow));
    lines.push(line);
  }
  if (first && open) lines.push(made("p", { className: "said wait", textContent: `Signed first by ${first.name}, ${moment(first.at)}. It waits for a second signature.` }));
  if (older) lines.push(written(older, obstacles.edit ? null : use));
  return lines;
}

/** What becomes of a draft when another one of its study is signed. */
function besides({ by, at, address }, obstacles, act) {
  const line = made("p", { className: "said wait beside" });
  line.append(made("strong", { textContent: `${by} has signed another draft of this study, ${moment(at)}.` }),
    " There is one report of a study: add what is missing there as an addendum, or close this draft. ",
    made("a", { href: address, textContent: "Read the signed report" }), " ");
  if (!obstacles.close) line.append(button("Take over as addendum", () => act("take-over")), " ", button("Close this draft", () => act("close")));
  return line;
}

/** The words that were typed for a draft which a newer one has replaced. */
function written(older, use) {
  const box = made("div", { className: "said wait older" });
  box.append(made("strong", { textContent: "A newer draft has replaced the one that you edited. You had written:" }));
  for (const [name, title] of Object.entries(TITLES)) {
    const line = made("p");
    line.append(made("b", { textContent: `${title}: ` }), made("span", { className: "text", dir: "auto", textContent: older[name] }));
    if (use) line.append(" ", button(`Insert into the ${name}`, () => use(name, older[name])));
    box.append(line);
  }
  return box;
}
