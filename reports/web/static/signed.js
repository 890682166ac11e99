/* The page of a draft becomes that of the report which was signed on it. */

import { Refused } from "./calls.js";
import { notice } from "./notice.js";
import { ask } from "./session.js";

const PARTS = ["standing", "paper", "making"]; // what the server writes as words of a report

/**
 * Show the words of the signed document. The page is not loaded anew: its film stays, and a key that is pressed meanwhile is
 * heard. page: the report page; desk: the state after the signature.
 */
export async function asSigned(page, desk) {
  page.render(desk);
  const fresh = await paper().catch(() => null);
  if (!fresh) {
    notice("It is signed. The signed report could not be shown: load the page again.", { kind: "wait" });
    return;
  }
  for (const part of PARTS) document.getElementById(part).replaceWith(fresh.getElementById(part));
  document.getElementById("writing").hidden = true;
  page.born = desk.state;
  page.isActing = false;
  page.unsaved.show(); // it can be added to from now on
  await page.open(); // for an addendum
}

async function paper() {
  const answer = await ask(location.href, { headers: { Accept: "text/html" }, unattended: true });
  if (!answer.ok) throw new Refused(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.getElementById("final") ? page : null;
}
