// What a script has to tell: `say` for screen readers only, `notice` for everybody.
//
//   import { notice, say } from "./notice.js";
//   say("Row 3 of 50");
//   notice("Saved.");                                         goes away by itself
//   notice("It could not be saved.", { kind: "bad" });        stays until it is closed
//   const toast = notice("3 new studies", { kind: "wait", action: "Show", then: show });    toast.remove() ends it

import { made } from "./keys.js";

const SECONDS = 6;

/** Let screen readers say something, politely. */
export function say(words) {
  const region = document.getElementById("said");
  if (region) region.textContent = words;
}

/** Show a line in the corner. kind: good, bad, wait. action, then: words of a button, and what it does. */
export function notice(words, { kind = "good", action = "", then = () => {}, stays = kind !== "good" } = {}) {
  const toast = made("div", { className: `said ${kind}` });
  toast.setAttribute("role", kind === "bad" ? "alert" : "status");
  toast.append(made("span", { textContent: words }));
  if (action) toast.append(button(action, () => { toast.remove(); then(); }));
  if (stays) toast.append(button("Close", () => toast.remove()));
  else setTimeout(() => toast.remove(), SECONDS * 1000);
  document.getElementById("toasts").append(toast);
  return toast;
}

function button(words, then) {
  const one = made("button", { type: "button", textContent: words });
  one.addEventListener("click", then);
  return one;
}
