/* From one report to the next. */

import { notice } from "./notice.js";

const NAME = "wetread-led";
const TWICE = 600; // ms after a page that a key led to can hear: a key that comes sooner was meant for the one before

/** Was this page reached by `lead`? Asked once, when its keys are bound. */
export function isLed() {
  try {
    const to = sessionStorage.getItem(NAME);
    sessionStorage.removeItem(NAME);
    return to === location.pathname;
  } catch {
    return false;
  }
}

/** Leave for another report. */
export function lead(address) {
  try {
    sessionStorage.setItem(NAME, address);
  } catch {
    // then a key that is pressed twice is two
  }
  location.assign(address);
}

/** page: the report page. which: "next" or "previous". event: the key, where it was one. */
export async function go(page, which, event = null) {
  if (event?.repeat || (event && page.isLed && performance.now() - page.began < TWICE)) return;
  const address = page.desk[which];
  if (!address) {
    notice(which === "next" ? "Nothing else waits." : "This is the first one.", { kind: "wait", stays: false });
    return;
  }
  await page.saving.flush();
  if (page.saving.isPending && !page.isWarned) {
    page.isWarned = true; // somebody who presses again means it
    notice("What you typed is not saved. Press again to leave all the same; it stays in this tab.", { kind: "bad" });
    return;
  }
  lead(address);
}
