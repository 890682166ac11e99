/* The dialogs of the report page: each asks what an act needs, does it, and says why where it is refused. */

import { count, show } from "./difference.js";
import { holdOpen, made, nameOf } from "./keys.js";
import { notice } from "./notice.js";
import { elsewhere, isByProvider } from "./session.js";

const READ = "Read the warning above; press again to sign all the same.";
const UNDER_WAY = "It was sent, and the server has not answered yet: it may be done already. Wait, or load the page again to see.";
const REOPENED = "wetread:reopened";

/**
 * Show a dialog, before this returns, and do the act when its form is sent. prepare(): what comes before each attempt;
 * nothing is done where the dialog is closed meanwhile. It and perform(form data) may throw an error with a sentence. From
 * the press until the answer no key changes what is sent; once it is sent the dialog stays, so that nobody types below it what
 * the answer takes away. perform() must end within a time that a person waits. next(isWanted): somebody pressed n meanwhile;
 * false at each press of the button. Gives what perform() gave.
 */
export function asking(dialog, perform, prepare, next) {
  endLast(dialog);
  return opened(dialog, perform, prepare, next);
}

function opened(dialog, perform, prepare = () => {}, next = () => {}) {
  const form = dialog.querySelector("form");
  const fault = dialog.querySelector(".fault");
  const button = form.querySelector("button[value=do]");
  fault.textContent = "";
  return new Promise((resolve) => {
    let done = null;
    let isOver = false;
    let isSent = false;
    const freeze = (isFrozen) => {
      button.disabled = isFrozen;
      for (const field of form.querySelectorAll("input, textarea")) field.readOnly = isFrozen;
    };
    const stays = () => {
      if (isSent && !isOver) fault.textContent = UNDER_WAY;
      return isSent && !isOver;
    };
    const end = () => {
      if (isOver) return;
      isOver = true;
      letGo();
      document.removeEventListener("keydown", hear);
      for (const secret of form.querySelectorAll("input[type=password]")) secret.value = "";
      if (done || !isSent) resolve(done);
    };
    freeze(false);
    const letGo = holdOpen(dialog, stays);
    const hear = (event) => { // a button that cannot be pressed loses the focus to the page
      const isOurs = event.target === document.body || dialog.contains(event.target);
      if (button.disabled && isOurs && nameOf(event) === "n") next(true);
    };
    document.addEventListener("keydown", hear);
    form.onsubmit = async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      const data = new FormData(form);
      const focused = document.activeElement;
      freeze(true);
      next(false);
      fault.textContent = "";
      try {
        await prepare();
        if (isOver || !dialog.open) return;
        isSent = true;
        done = await perform(data);
        if (!isOver) dialog.close();
        document.activeElement?.blur(); // what had the focus before is done with: letters are keys again
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        if (isOver && isSent) notice(error.message, { kind: "bad" });
        if (isOver) return;
        fault.textContent = error.message;
        form.querySelector("input[type=password]:not([hidden])")?.select();
      } finally {
        if (isOver) resolve(done);
        else {
          isSent = false;
          freeze(false);
          if (done) end();
          else if (!dialog.contains(document.activeElement)) focused?.focus();
        }
      }
    };
    form.querySelector("[data-close]").onclick = () => {
      if (stays()) return;
      dialog.close();
      end();
    };
    whenClosed(dialog, end);
    dialog.showModal();
  });
}

/** Once this opening of it has ended. A browser says so later, and may find the dialog open again: then it is not of this one. */
function whenClosed(dialog, then) {
  const heard = ({ type }) => {
    if (type === "close" && dialog.open) return;
    dialog.removeEventListener("close", heard);
    dialog.removeEventListener(REOPENED, heard);
    then();
  };
  dialog.addEventListener("close", heard);
  dialog.addEventListener(REOPENED, heard);
}

/** Before anything hears of the next opening: whoever is quick opens it again before the browser has said that it was closed. */
function endLast(dialog) {
  dialog.dispatchEvent(new Event(REOPENED));
}

/** The field for a PIN or a password beside an act; gives what turns it into the one that is needed. */
export function proof(label, field) {
  const become = (kind) => {
    field.dataset.kind = kind;
    field.inputMode = kind === "pin" ? "numeric" : "text";
    field.autocomplete = kind === "pin" ? "off" : "current-password";
    label.textContent = kind === "pin" ? "Your PIN" : "Your password";
    const link = kind === "password" ? elsewhere() : null;
    field.required = !link && !isByProvider(); // who has none here leaves it empty: the server knows when the provider last asked
    if (link) label.append(", or leave this empty after: ", link);
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
 * The dialog before a signature. It opens with the key: a PIN that is typed without looking is in its field. What
 * there is to warn of comes meanwhile, and whoever presses Enter before it has come signs nothing that was not shown.
 * who: whose signatures; look(): {title, comparisons} of the words as they are now, each comparison {name, same,
 * changes}, where changes are [title, runs] of each section, and same is what is said where there are none; prepare():
 * gives sentences that warn, and throws one that says why nothing can be signed.
 */
export function signing(dialog, { who, look, password, prepare, perform, next }) {
  endLast(dialog);
  dialog.querySelector(".who").textContent = who;
  const asked = proof(dialog.querySelector("label"), dialog.querySelector("input[type=password]"));
  asked.become(password ? "password" : "pin");
  const gate = new Gate(dialog, look, prepare);
  dialog.onkeydown = (event) => { // a key that is held down is one key: neither a second press nor part of a PIN
    if (event.repeat && (event.key === "Enter" || event.key.length === 1)) event.preventDefault();
  };
  const ended = opened(dialog, () => asked.with(perform).catch((error) => {
    gate.close(); // what was prepared may be the reason
    throw error;
  }), () => gate.passed(), next);
  gate.open();
  return ended;
}

/** Lets through who has seen the words and the warnings: a press before they were there is none. */
class Gate {
  #words = "";
  #warnings = [];
  #seen = "";
  #ready = null;
  #isOver = false; // what comes after the dialog was closed is not the next one's

  constructor(dialog, look, prepare) {
    Object.assign(this, { dialog, look, prepare });
    whenClosed(dialog, () => { this.#isOver = true; });
    this.#show();
    warn(dialog, []);
  }

  /** Prepare; what hinders a signature is said at once. */
  open() {
    this.#ready = this.#prepared();
    this.#ready.catch((error) => {
      if (!(error instanceof Error)) throw error;
      if (this.#isOver) return;
      this.close();
      this.dialog.querySelector(".fault").textContent = error.message;
    });
  }

  /** What is prepared no longer holds: the next press prepares anew. */
  close() {
    this.#ready = null;
  }

  /** Wait until everything is there. Throws a sentence where the person has not seen all of it. */
  async passed() {
    const words = this.#words;
    if (!this.#ready) this.open();
    await this.#ready;
    if (words !== this.#words) throw new Error("The text has changed meanwhile: look at it, then press again.");
    const shown = JSON.stringify([this.#words, this.#warnings]);
    if (!this.#warnings.length || this.#seen === shown) return;
    this.#seen = shown;
    throw new Error(READ);
  }

  async #prepared() {
    const checking = this.dialog.querySelector(".checking");
    const button = this.dialog.querySelector("button[value=do]");
    checking.textContent = "Looking for contradictions; you can type meanwhile.";
    button.setAttribute("aria-disabled", "true");
    try {
      this.#warnings = await this.prepare();
      if (this.#isOver) return;
      this.#show();
      warn(this.dialog, this.#warnings);
    } finally {
      if (!this.#isOver) {
        checking.textContent = "";
        button.removeAttribute("aria-disabled");
      }
    }
  }

  #show() {
    const { title, comparisons } = this.look();
    this.#words = JSON.stringify([title, comparisons]);
    this.dialog.querySelector("h2").textContent = title;
    this.dialog.querySelector(".changed").replaceChildren(...comparisons.flatMap((one) => beside(one, comparisons.length > 1)));
  }
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

/**
 * A dialog with words, and with a proof where `password` is not null. text: words that stand there already; drafted: they
 * are the model's, and its own warning stands above them; coming:
 * sentences that warn, as a promise, shown as soon as they are there; prepare(): what comes before each attempt.
 */
export function wording(dialog, {
  title, explain, button, text: there = "", drafted = false, safety = false, password = null, grave = false, coming = Promise.resolve([]), prepare, perform, next,
}) {
  endLast(dialog);
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector(".explain").textContent = explain;
  for (const one of dialog.querySelectorAll(".by-reader")) one.hidden = !drafted;
  const send = dialog.querySelector("button[value=do]");
  send.textContent = button;
  send.className = grave ? "grave" : "main";
  const text = dialog.querySelector("textarea");
  text.value = there;
  dialog.querySelector(".safety").hidden = !safety;
  const [label, field] = dialog.querySelectorAll(".proof");
  const asked = proof(label, field);
  asked.become(password ? "password" : "pin");
  label.hidden = field.hidden = password === null;
  if (password === null) field.required = false;
  const seen = arriving(dialog, coming);
  return opened(dialog, (data) => {
    const body = { words: data.get("words"), safety: data.get("safety") === "on" };
    return password === null ? perform(body) : asked.with((proven) => perform({ ...body, ...proven }));
  }, async () => {
    await seen();
    await prepare();
  }, next);
}

/** Show warnings when they come. Gives what waits for them, and throws where somebody pressed before they were there. */
function arriving(dialog, coming) {
  let isThere = false;
  let isOver = false;
  warn(dialog, []);
  whenClosed(dialog, () => { isOver = true; }); // the next one has warnings of its own
  void coming.then((sentences) => {
    if (!isOver) warn(dialog, sentences);
    isThere = true;
  });
  return async () => {
    const isEarly = !isThere;
    if ((await coming).length && isEarly) throw new Error(READ);
  };
}

/** Let the person choose between two texts. sections: [title, runs] of each. Gives "mine" or "theirs". */
export function choosing(dialog, sections) {
  dialog.querySelector(".fault").textContent = "";
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
    const letGo = holdOpen(dialog); // one of them must be chosen
    dialog.onclose = () => {
      letGo();
      resolve(chosen || "mine");
    };
    dialog.showModal();
    dialog.querySelector("h2").focus(); // a blank that was meant for the text presses no button
  });
}

/** "3 words added, 1 removed" */
export function inWords(runs) {
  const { added, removed } = count(runs);
  if (!added && !removed) return runs.some(({ mark }) => mark !== "=") ? "punctuation changed" : "";
  const words = (number) => `${number} ${number === 1 ? "word" : "words"}`;
  return [added && `${words(added)} added`, removed && `${words(removed)} removed`].filter(Boolean).join(", ");
}
