/* What a person does with a report: each asks, tells the server, and shows what came of it. */

import { asking, signing, wording } from "./acts.js";
import { sentences } from "./against.js";
import { difference } from "./difference.js";
import { isDone, isDoubtful } from "./done.js";
import { lead } from "./going.js";
import { signedJustNow } from "./lately.js";
import { notice } from "./notice.js";
import { asSigned } from "./signed.js";

const PACS_AGAIN = 8 * 60_000; // ms; what the PACS said holds for ten minutes
const SIGNING = { sign: "Sign the report", accept: "Accept the draft as it is, and sign it", cosign: "Sign second" };
const SENT = { addendum: "Addendum", "take-over": "Addendum", reject: "To the rejection", "send-back": "Why it is sent back", withdraw: "Why it is withdrawn" };
const TITLES = { findings: "Findings", impression: "Impression" };

const $ = (id) => document.getElementById(id);

/** By the name of a button; each takes the page. */
export const ACTS = Object.freeze({
  sign: (page) => sign(page, "sign"),
  accept: (page) => sign(page, "accept"),
  cosign: (page) => sign(page, "cosign"),
  reject,
  "hand-over": handOver,
  "send-back": sendBack,
  discard,
  "take-over": takeOver,
  close: closeBeside,
  addendum,
  withdraw,
});

async function sign(page, act) {
  const wanted = () => (act === "sign" && page.isUntouched ? "accept" : act);
  const { first, you } = page.desk;
  let prepared = null;
  const desk = await signing($("ask-sign"), {
    who: first ? `Signed first by ${first.name}. You sign second: ${you}.` : "",
    look: () => ({ title: SIGNING[wanted()], comparisons: [...(first ? [withFirst(page, first)] : []), withDraft(page)] }),
    password: act === "cosign",
    prepare: async () => {
      if (Date.now() - Date.parse(page.desk.identity.at) > PACS_AGAIN) await page.pacs.ask();
      await page.prepare(act);
      await page.readNow();
      prepared = { act: wanted(), body: { ...page.words(), version: page.saving.version } };
      return against(page);
    },
    perform: (proof) => sent(page, prepared.act, { ...prepared.body, ...proof }).catch((error) => lost(page, error)),
    next: hurried(page),
  });
  if (desk) ended(page, desk, desk.state === "VERIFIED" ? "Signed" : "Signed first; a second signature is awaited");
}

function withDraft({ editors }) {
  return {
    name: "the AI's text",
    same: "Every word is the AI's: you sign its text as your report.",
    changes: Object.entries(editors).map(([name, editor]) => [TITLES[name], editor.runs]),
  };
}

/** What the second person signs, beside what the first one has signed. */
function withFirst({ editors }, { name: who, text }) {
  if (!text) return { name: who, same: `What ${who} has signed is not in the store: it cannot be compared.`, changes: [] };
  return {
    name: `what ${who} signed`,
    same: `Every word is as ${who} signed it.`,
    changes: Object.entries(editors).map(([name, editor]) => [TITLES[name], difference(text[name], editor.text)]),
  };
}

/** Sentences that warn before a signature. */
function against({ isRead, chosen, reading }) {
  if (isRead) return sentences(reading.contradictions);
  return Object.keys(chosen).length ? ["The findings that you set were not compared with the text: the server did not answer."]
    : ["The text was not looked through for contradictions: the server did not answer."];
}

/** Somebody's newer words are there: the person sees them before anything is signed. */
async function lost(page, error) {
  if (error.code === "stale-version") await page.answers.newest(() => page.calls.look(), (desk) => page.take(desk));
  throw error;
}

/** Do what nobody does unseen. The server forgets at an opening in another tab: it is told again before the next press. */
async function sent(page, act, body) {
  try {
    return await did(page, act, body);
  } catch (error) {
    if (error.code === "not-shown") await page.refresh();
    throw error;
  }
}

/** Do it; gives what the server says then, or has said since: its answer may be slow, or lost. */
async function did(page, act, body) {
  page.isActing = true; // news of it may come before its answer
  page.unsaved.send(SENT[act], body?.words);
  const from = page.desk.state;
  const told = new Promise((resolve) => {
    page.heard = (desk) => { if (isDone(act, body, from, desk)) resolve({ desk, isDoubtful: isDoubtful(act) }); };
  });
  const answered = page.answers.newest(() => page.calls.post(act, body, { isGrave: true })).then((desk) => ({ desk }));
  try {
    const done = await Promise.race([answered, told]);
    if (!done.isDoubtful) page.unsaved.sent(); // else the words stay until the report is seen to have them
    return done.desk;
  } catch (error) {
    page.isActing = false;
    if (error.code === "unsure") page.unsaved.show();
    else page.unsaved.sent();
    throw error;
  } finally {
    page.heard = null;
  }
}

/** Who presses n before the answer has come is led to the next one when it has. */
function hurried(page) {
  return (isWanted) => { page.isHurried = isWanted; };
}

async function reject(page) {
  const dialog = $("ask-reject");
  dialog.querySelector("form").reset();
  dialog.onkeydown = (event) => {
    if (event.target instanceof HTMLTextAreaElement || !/^[1-9]$/u.test(event.key)) return;
    const reason = dialog.querySelectorAll("[name=reason]")[Number(event.key) - 1];
    reason?.click();
    reason?.focus();
  };
  const desk = await asking(dialog, (data) => did(page, "reject", {
    reason: data.get("reason") ?? "", words: data.get("words"), safety: data.get("safety") === "on",
  }), () => page.prepare("reject"), hurried(page));
  if (desk) ended(page, desk, "Rejected");
}

async function handOver(page) {
  const desk = await asking($("ask-hand-over"), (data) => did(page, "hand-over", { to: Number(data.get("to")) }),
    () => page.prepare("hand-over"), hurried(page));
  if (desk) ended(page, desk, "Handed over");
}

async function sendBack(page) {
  const desk = await wording($("ask-words"), {
    title: "Send back", explain: "The first signature lapses; it is a draft again. Say why.", button: "Send back",
    prepare: () => page.prepare("send-back"),
    perform: (body) => did(page, "send-back", body),
    next: hurried(page),
  });
  if (desk) ended(page, desk, "Sent back");
}

async function addendum(page) {
  const seen = Math.max(0, ...page.desk.signed.map(({ number }) => number));
  const desk = await wording($("ask-words"), {
    title: "Addendum", explain: "What was signed stays, word for word; this is added below it and signed."
      + (page.unsaved.words ? " Leave out what stands there already." : ""),
    button: "Sign the addendum", password: false, prepare: () => page.prepare("addendum"), text: page.unsaved.words,
    perform: (body) => sent(page, "addendum", { ...body, seen }), // what is sent twice is added once
  });
  if (!desk) return;
  page.unsaved.forget();
  location.reload();
}

/** The words of this draft, as they stand or shortened, below the report that is signed already. */
async function takeOver(page) {
  const { beside: { by, number: seen, address } } = page.desk;
  const { findings, impression } = page.words();
  const desk = await wording($("ask-words"), {
    title: "Take over as addendum", button: "Sign the addendum", password: false,
    explain: `It is added below what ${by} has signed, and this draft is closed. Leave out what stands there already.`,
    text: `${findings}\n${impression}`.trim(), drafted: true, coming: page.readNow().then(() => against(page)),
    prepare: () => page.prepare("take-over"),
    perform: (body) => sent(page, "take-over", { ...body, version: page.saving.version, seen }),
  });
  if (!desk) return;
  page.saving.forget();
  page.isGone = true;
  location.assign(address);
}

async function closeBeside(page) {
  const desk = await asking($("ask-close"), () => sent(page, "close"), () => page.prepare("close"), hurried(page));
  if (desk) ended(page, desk, "Closed: the signed report of the study stands");
}

async function withdraw(page) {
  const desk = await wording($("ask-words"), {
    title: "Withdraw the signed report", button: "Withdraw", safety: true, password: true, grave: true,
    explain: "Everybody who has it is told that it is taken back. Say why; nothing of the patient.",
    prepare: () => page.prepare("withdraw"),
    perform: (body) => did(page, "withdraw", body),
  });
  if (desk) location.reload();
}

async function discard(page) {
  const before = page.words();
  rewrite(page, { ...page.desk.drafted, chips: {} });
  notice("Your changes are gone; the AI's text is here again.", {
    kind: "wait", action: "Bring them back", then: () => {
      const locked = page.desk.obstacles.edit;
      if (locked) notice(locked, { kind: "wait", stays: false });
      else rewrite(page, before);
    },
  });
  await page.readNow();
  await page.saving.flush();
}

function rewrite(page, { chips, ...words }) {
  for (const [name, editor] of Object.entries(page.editors)) editor.rewrite(words[name]);
  document.activeElement?.blur(); // letters are keys again
  page.chosen = chips;
  page.saving.touch();
  page.showChanges();
  page.readSoon();
}

/** The work on this one is done. */
function ended(page, desk, words) {
  page.saving.settle(desk.version);
  page.saving.forget();
  page.isDone = true;
  const signed = desk.state === "VERIFIED";
  if (signed) signedJustNow(page.calls.base);
  if (($("onward").checked || page.isHurried) && desk.next) {
    page.isGone = !desk.open || !desk.mine;
    lead(desk.next);
  } else if (signed) {
    void asSigned(page, desk); // the words are those of the signed document now
  } else {
    page.render(desk);
    page.isActing = false;
    notice(`${words}.`);
    document.querySelector("[data-go=next]").focus();
  }
}
