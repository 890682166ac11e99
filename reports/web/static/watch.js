/* Keeps the report page new: the server tells when its study has changed; where it does not, the page asks. */

import { Refused } from "./calls.js";
import { notice } from "./notice.js";
import { hear } from "./stream.js";
import { keptForAnother } from "./told.js";

const COLLECT = 200; // ms: what changes together is asked for together
const ASK = 2_000; // ms between two looks at what waits, while nobody tells
const TICK = 500; // ms
const REST = 30_000; // ms between two while somebody does: no news is lost for good

/** page: the report page. */
export function watch(page) {
  const study = Number(page.calls.base.split("/")[2]);
  let timer = 0;
  let isAsking = false;
  let looked = Date.now();
  let isTold = false; // in a dialog alone: the page itself shows it when that is closed

  const soon = (wait = COLLECT) => { timer ||= setTimeout(look, wait); };
  const news = hear({
    changed: (studies) => { if (studies === null || studies.includes(study)) soon(); },
    written: (studies) => { if (!page.desk.mine && studies.includes(study)) soon(); },
    well: () => soon(), // what changed before was told to nobody here
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); }); // also where no news come

  async function look() {
    timer = 0;
    if (document.hidden) return; // it looks when it is seen again
    const dialog = choice();
    if (isAsking || (page.saving.isPending && !dialog)) return soon(ASK);
    isAsking = true;
    try {
      looked = Date.now();
      isTold = Boolean(dialog);
      await (dialog ? warn(page, dialog) : compare(page));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    } finally {
      isAsking = false;
    }
    return undefined;
  }

  setInterval(() => {
    if (isTold && !choice()) soon();
    if ((page.isActing || waits(page.desk) || choice()) && Date.now() - looked >= (news.isOpen ? REST : ASK)) soon();
  }, TICK);
}

/** On its way to the PACS, or open at somebody else's. */
function waits({ open, mine, state, arrival }) {
  return (state === "VERIFIED" && !arrival.there) || (open && !mine);
}

/** The dialog in which somebody chooses between two texts: nothing is saved before that. */
function choice() {
  return document.querySelector("#ask-conflict[open]");
}

/** A choice for a report that is over is none: who makes it is told there, and sees the report itself after it. */
async function warn(page, dialog) {
  const desk = await page.calls.look();
  const isReplaced = desk.report !== page.desk.report;
  if (!isReplaced && !desk.ended && desk.state !== "VERIFIED") return;
  const fault = dialog.querySelector(".fault");
  const told = `${isReplaced ? "A newer draft has replaced this one." : desk.happened} Neither text goes into it.`;
  if (fault.textContent !== told) fault.textContent = told; // it is heard once
}

/** Whoever writes in a dialog loses no word: what is behind it is dim, and nothing there can be pressed before it closes. */
function tellIn(dialog, words) {
  const fault = dialog.querySelector(".fault");
  if (fault) fault.textContent = words;
  notice(words, { kind: "bad", action: "Show the withdrawn report", then: () => location.reload() });
}

/** Look at the state, and show what is new. */
async function compare(page) {
  const { report, open, mine } = page.desk;
  const desk = await page.answers.newest(() => page.calls.look(), (now) => {
    if (!page.saving.isPending && now.report === report) page.follow(now);
  });
  if (page.saving.isPending) return; // somebody types, and the answer is of before
  if (desk.report !== report) {
    if (!open || !mine) location.reload();
    else if (!page.isReplaced) {
      page.isReplaced = true; // nobody is torn from a sentence; what was written is offered beside the newer draft
      notice("A newer draft has replaced this one. What you wrote is kept.", {
        kind: "wait", action: "Show the newer draft", then: () => location.reload(),
      });
    }
    return;
  }
  if (desk.state === "VERIFIED" && page.born !== "VERIFIED" && !page.isActing) {
    page.isGone = true;
    location.reload(); // somebody else has signed it, or this person in another tab: the words are those of the report
    return;
  }
  if (desk.ended && page.born === "VERIFIED" && !page.isActing) {
    page.born = desk.state; // told once
    const dialog = document.querySelector("dialog[open]");
    if (!dialog) location.reload(); // no page goes on showing it as signed
    else tellIn(dialog, desk.happened);
    return;
  }
  if (open && !mine && desk.openable && !desk.holder && !keptForAnother(desk) && !page.isDone && !page.opening) await page.open();
}
