/* What a person does with a report: each asks, tells the server, and shows what came of it. */

import { asking, signing, wording } from "./acts.js";
import { difference } from "./difference.js";
import { signedJustNow } from "./lately.js";
import { notice, say } from "./notice.js";

const PACS_AGAIN = 8 * 60_000; // ms; what the PACS said holds for ten minutes
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
  if (Date.now() - Date.parse(page.desk.identity.at) > PACS_AGAIN) await page.askPacs();
  await page.readNow();
  if (!(await page.saving.flush())) return; // what was typed while they were asked
  const wanted = act === "sign" && page.isUntouched ? "accept" : act;
  const titles = { sign: "Sign the report", accept: "Accept the draft as it is, and sign it", cosign: "Sign second" };
  const body = { ...page.words(), version: page.saving.version };
  const { first, you } = page.desk;
  const desk = await signing($("ask-sign"), {
    title: titles[wanted],
    who: first ? `Signed first by ${first.name}. You sign second: ${you}.` : "",
    comparisons: [...(first ? [withFirst(page, first)] : []), withDraft(page)],
    against: against(page),
    password: act === "cosign",
    perform: (proof) => page.calls.post(wanted, { ...body, ...proof }).catch((error) => lost(page, error)),
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
  if (isRead) return reading.contradictions.map(({ sentence }) => sentence);
  return Object.keys(chosen).length ? ["The findings that you set were not compared with the text: the server did not answer."] : [];
}

/** Somebody's newer words are there: the person sees them before anything is signed. */
async function lost(page, error) {
  if (error.code === "stale-version") page.take(await page.calls.look());
  throw error;
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
  const desk = await asking(dialog, (data) => page.calls.post("reject", {
    reason: data.get("reason") ?? "", words: data.get("words"), safety: data.get("safety") === "on",
  }));
  if (desk) ended(page, desk, "Rejected");
}

async function handOver(page) {
  const desk = await asking($("ask-hand-over"), (data) => page.calls.post("hand-over", { to: Number(data.get("to")) }));
  if (desk) ended(page, desk, "Handed over");
}

async function sendBack(page) {
  const desk = await wording($("ask-words"), {
    title: "Send back", explain: "The first signature lapses; it is a draft again. Say why.", button: "Send back",
    perform: (body) => page.calls.post("send-back", body),
  });
  if (desk) ended(page, desk, "Sent back");
}

async function addendum(page) {
  const seen = Math.max(0, ...page.desk.signed.map(({ number }) => number));
  const desk = await wording($("ask-words"), {
    title: "Addendum", explain: "What was signed stays, word for word; this is added below it and signed.",
    button: "Sign the addendum", password: false,
    perform: (body) => page.calls.post("addendum", { ...body, seen }), // what is sent twice is added once
  });
  if (desk) location.reload();
}

/** The words of this draft, as they stand or shortened, below the report that is signed already. */
async function takeOver(page) {
  const { beside: { by, number: seen, address } } = page.desk;
  await page.readNow();
  const { findings, impression } = page.words();
  const desk = await wording($("ask-words"), {
    title: "Take over as addendum", button: "Sign the addendum", password: false,
    explain: `It is added below what ${by} has signed, and this draft is closed. Leave out what stands there already.`,
    text: `${findings}\n${impression}`.trim(), against: against(page),
    perform: (body) => page.calls.post("take-over", { ...body, version: page.saving.version, seen }),
  });
  if (!desk) return;
  page.saving.forget();
  page.isGone = true;
  location.assign(address);
}

async function closeBeside(page) {
  const desk = await asking($("ask-close"), () => page.calls.post("close"));
  if (desk) ended(page, desk, "Closed: the signed report of the study stands");
}

async function withdraw(page) {
  const desk = await wording($("ask-words"), {
    title: "Withdraw the signed report", button: "Withdraw", safety: true, password: true, grave: true,
    explain: "Everybody who has it is told that it is taken back. Say why; nothing of the patient.",
    perform: (body) => page.calls.post("withdraw", body),
  });
  if (desk) location.reload();
}

async function discard(page) {
  for (const [name, editor] of Object.entries(page.editors)) editor.text = page.desk.drafted[name];
  page.chosen = {};
  page.saving.touch();
  page.showChanges();
  await page.readNow();
  await page.saving.flush();
  say("Your changes are gone; the AI's text is here again.");
}

/** The work on this one is done. */
function ended(page, desk, words) {
  page.saving.settle(desk.version);
  page.saving.forget();
  page.isDone = true;
  const signed = desk.state === "VERIFIED";
  if (signed) signedJustNow(page.calls.base);
  if ($("onward").checked && desk.next) {
    page.isGone = !desk.open || !desk.mine;
    location.assign(desk.next);
  } else if (signed) {
    page.isGone = true;
    location.reload(); // the words are those of the signed document now
  } else {
    page.render(desk);
    notice(`${words}.`);
    document.querySelector("[data-go=next]").focus();
  }
}
