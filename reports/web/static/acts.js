/* The dialogs of the report page: each asks what an act needs, does it, and says why where it is refused. */

import { count, show } from "./difference.js";
import { made } from "./keys.js";
import { elsewhere } from "./session.js";

/** Show a dialog and do the act when its form is sent. perform(form data) may throw an error with a sentence. */
export function asking(dialog, perform) {
  const form = dialog.querySelector("form");
  const fault = dialog.querySelector(".fault");
  fault.textContent = "";
  return new Promise((resolve) => {
    let done = null;
    form.onsubmit = async (event) => {
      event.preventDefault();
      const button = form.querySelector("button[value=do]");
      if (button.disabled) return;
      button.disabled = true;
      fault.textContent = "";
      try {
        done = await perform(new FormData(form), form);
        dialog.close();
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        fault.textContent = error.message;
        form.querySelector("input[type=password]:not([hidden])")?.select();
      } finally {
        button.disabled = false;
      }
    };
    form.querySelector("[data-close]").onclick = () => dialog.close();
    dialog.onclose = () => {
      for (const secret of form.querySelectorAll("input[type=password]")) secret.value = "";
      resolve(done);
    };
    dialog.showModal();
  });
}

/** The field for a PIN or a password beside an act; gives what turns it into the one that is needed. */
export function proof(label, field) {
  const become = (kind) => {
    field.dataset.kind = kind;
    field.inputMode = kind === "pin" ? "numeric" : "text";
    field.autocomplete = kind === "pin" ? "off" : "current-password";
    label.textContent = kind === "pin" ? "Your PIN" : "Your password";
    const link = kind === "password" ? elsewhere() : null;
    if (link) {
      field.required = false; // who has none here leaves it empty: the server knows when the provider last asked
      label.append(", or leave this empty after: ", link);
    }
    field.value = "";
  };
  return {
    become,
    value: () => ({ [field.dataset.kind]: field.value }),
    /** Do something with the proof; where a PIN is not enough, ask for the password. */
    async with(act) {
      try {
        return await act({ [field.dataset.kind]: field.value });
      } catch (error) {
        if (error.code === "password-needed") {
          become("password");
          field.focus();
        }
        throw error;
      }
    },
  };
}

/**
 * The dialog before a signature. who: whose signatures; comparisons: each {name, same, changes}, where changes are
 * [title, runs] of each section, and same is what is said where there are none; against: sentences that warn.
 */
export function signing(dialog, { title, who, comparisons, against, password, perform }) {
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector(".who").textContent = who;
  dialog.querySelector(".changed").replaceChildren(...comparisons.flatMap((one) => beside(one, comparisons.length > 1)));
  warn(dialog, against);
  const field = dialog.querySelector("input[type=password]");
  const asked = proof(dialog.querySelector("label"), field);
  asked.become(password ? "password" : "pin");
  return asking(dialog, () => asked.with(perform));
}

function warn(dialog, sentences) {
  dialog.querySelector(".against").replaceChildren(...sentences.map((words) => made("li", { textContent: words })));
}

/** What is signed beside one other text: a line that counts, and the changes. */
function beside({ name, same, changes }, isNamed) {
  const changed = changes.filter(([, runs]) => runs.some(({ mark }) => mark !== "="));
  const counted = changed.map(([title, runs]) => `${title}: ${inWords(runs)}`).join("; ");
  const summary = made("p", { className: "summary", textContent: counted ? `${isNamed ? `Against ${name}: ` : ""}${counted}` : same });
  return [summary, ...changed.map(([title, runs]) => {
    const text = made("p", { className: "changes" });
    text.setAttribute("aria-label", isNamed ? `Changes in ${title} against ${name}` : `Changes in ${title}`);
    show(text, runs);
    return text;
  })];
}

/** A dialog with words, and with a proof where `password` is not null. text: words that stand there already; against: as above. */
export function wording(dialog, { title, explain, button, text: there = "", against = [], safety = false, password = null, grave = false, perform }) {
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector(".explain").textContent = explain;
  warn(dialog, against);
  const send = dialog.querySelector("button[value=do]");
  send.textContent = button;
  send.className = grave ? "grave" : "main";
  const text = dialog.querySelector("textarea");
  text.value = there;
  dialog.querySelector(".safety").hidden = !safety;
  const [label, field] = dialog.querySelectorAll(".proof");
  const asked = proof(label, field);
  label.hidden = field.hidden = password === null;
  field.required = password !== null;
  asked.become(password ? "password" : "pin");
  return asking(dialog, (data) => {
    const body = { words: data.get("words"), safety: data.get("safety") === "on" };
    return password === null ? perform(body) : asked.with((proven) => perform({ ...body, ...proven }));
  });
}

/** Let the person choose between two texts. sections: [title, runs] of each. Gives "mine" or "theirs". */
export function choosing(dialog, sections) {
  dialog.querySelector(".compared").replaceChildren(...sections.flatMap(([title, runs]) => {
    const text = made("p");
    show(text, runs);
    return [made("h3", { textContent: title }), text];
  }));
  return new Promise((resolve) => {
    let chosen = "";
    for (const button of dialog.querySelectorAll("[data-keep]")) {
      button.onclick = () => {
        chosen = button.dataset.keep;
        dialog.close();
      };
    }
    dialog.oncancel = (event) => event.preventDefault(); // one of them must be chosen
    dialog.onclose = () => resolve(chosen || "mine");
    dialog.showModal();
  });
}

/** "3 words added, 1 removed" */
export function inWords(runs) {
  const { added, removed } = count(runs);
  if (!added && !removed) return runs.some(({ mark }) => mark !== "=") ? "punctuation changed" : "";
  const words = (number) => `${number} ${number === 1 ? "word" : "words"}`;
  return [added && `${words(added)} added`, removed && `${words(removed)} removed`].filter(Boolean).join(", ");
}
