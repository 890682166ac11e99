/* The keys of the report page; those of the film are bound with it. */

import { go } from "./going.js";
import { bind } from "./keys.js";

const TYPED = "input:not([type=checkbox], [type=radio]), textarea";

function ask() {
  document.getElementById("questions").open = true;
  document.getElementById("question")?.focus();
}

/** Is it pressed among words that are not the report's? What belongs to another form begins no signature; the question is asked. */
function isAmongOthers({ target }, { editors }) {
  const field = target instanceof Element ? target.closest(TYPED) : null;
  if (!field || field.closest("dialog:not([open])")) return false; // of a dialog that was just closed
  if (field.id === "question") field.form.requestSubmit();
  return Object.values(editors).every((editor) => editor.field !== field);
}

/** page: the report page. */
export function bindKeys(page) {
  const group = "Report";
  const adding = () => page.act(page.desk.beside ? "take-over" : "addendum");
  const main = () => (page.desk.beside ? adding() : page.act(page.desk.state === "AWAITING SECOND" ? "cosign" : "sign"));
  bind("Ctrl+Enter", "Sign; in a question: ask it", (event) => { if (!isAmongOthers(event, page)) void main(); }, { group });
  bind("a", "Accept as is", () => page.act("accept"), { group });
  bind("e", "Edit the findings", () => page.editors.findings.field.focus(), { group });
  bind("E", "Edit the impression", () => page.editors.impression.field.focus(), { group });
  bind("Escape", "Leave the text: letters are keys again", () => document.activeElement?.blur(), { group, typing: true });
  bind("Ctrl+s", "Save now", () => { void page.saving.flush(); }, { group });
  bind("q", "Ask the model about the film", ask, { group });
  bind("x", "Reject", () => page.act("reject"), { group });
  bind("o", "Hand over", () => page.act("hand-over"), { group });
  bind("b", "Send back", () => page.act("send-back"), { group });
  bind("d", "Addendum; or take a draft over as one", adding, { group });
  bind("f", "Close a draft beside a signed report", () => page.act("close"), { group });
  bind("n", "Next draft", (event) => { void go(page, "next", event); }, { group });
  bind("p", "Previous draft", (event) => { void go(page, "previous", event); }, { group });
}
