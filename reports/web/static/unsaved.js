/* Words that the server no longer takes, since the report was signed or taken over meanwhile: they are kept, and offered. */

import { Refused } from "./calls.js";
import { difference } from "./difference.js";
import { notice } from "./notice.js";

/** A save was refused for good: the page shows how the report stands, and that these words are not in it. page: the report page. */
export async function refused(page, error) {
  const show = (desk) => { if (desk.report === page.calls.report) page.render(desk); };
  try {
    await page.answers.newest(() => page.calls.look(), show);
  } catch (trouble) {
    if (!(trouble instanceof Refused)) throw trouble; // then it is shown later
  }
  const isSigned = page.desk.state === "VERIFIED";
  page.refusal?.remove();
  page.refusal = notice(`${error.message.replace(/\.$/u, "")}. What you typed is not in it; it is kept in this tab.`, {
    kind: "bad", action: isSigned ? "Show the signed report" : "", then: () => location.reload(),
  });
}

/** The report is signed: are words left in this tab that never came into it? */
export function offer(page) {
  const left = page.saving.left();
  if (!left) return;
  const added = (name) => difference(page.desk.text[name], left[name]).filter(({ mark }) => mark === "+").map(({ text }) => text.trim());
  page.leftOver = ["findings", "impression"].flatMap(added).join(" ").trim();
  if (!page.leftOver) {
    page.saving.forget();
    return;
  }
  notice("What you typed before this was signed is not in it.", {
    kind: "wait", action: "Write it as an addendum", then: () => { void page.act("addendum"); },
  });
}
