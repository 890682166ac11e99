/* Pages of a reader study without a film: the keys that go on and back. */

import { bind } from "./keys.js";

const onward = document.getElementById("onward");
const back = document.getElementById("back");

if (onward) {
  onward.focus();
  bind("Enter", "Go on", () => onward.click(), { group: "Study" });
}
if (back) bind("u", "Back to the last one", () => back.click(), { group: "Study" });
