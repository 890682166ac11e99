/* Who has the report open: signs of life to the server, and their end. */

import { Refused } from "./calls.js";
import { notice } from "./notice.js";

const HEARTBEAT = 30_000; // ms; whoever has a report open is taken for gone after two minutes

/** Let the server know that this person is here, until the page goes away. page: the report page. */
export function stayOpen(page) {
  setInterval(() => { void touch(page); }, HEARTBEAT);
  window.addEventListener("pagehide", () => leave(page));
  window.addEventListener("pageshow", ({ persisted }) => { if (persisted) comeBack(page); });
  window.addEventListener("beforeunload", (event) => { if (page.saving.isPending && page.isGone) event.preventDefault(); });
}

async function touch(page) {
  if (!page.desk.mine || !page.desk.open) return;
  try {
    const { mine } = await page.calls.post("touch", {}, { unattended: true });
    if (mine || !isOpen(page)) return;
    await page.refresh();
    if (!page.desk.mine && page.desk.open && !page.isActing) {
      notice("Somebody else has taken this report over. What you typed stays here.", { kind: "wait" });
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error; // it is silent then, and others may take it
  }
}

/** Does the page still take it for its own? What this person does with it ends that, too, and nobody else has it then. */
function isOpen({ desk, isActing }) {
  return desk.mine && desk.open && !isActing;
}

function leave(page) {
  if (page.isGone || !page.desk.mine || !page.desk.open) return;
  page.isGone = true;
  page.saving.leave();
}

/** The browser has kept the page as it was when it went away: the report was given free then, and stands as it may. */
function comeBack(page) {
  page.isGone = false; // nobody is asked whether to leave
  location.reload();
}
