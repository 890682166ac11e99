// The keyboard. A page says which keys it knows; `?` shows all of them.
//
//   import { bind } from "./keys.js";
//   bind("j", "Next study", next);              a character as it is typed, whatever the layout: "?", "N" is Shift and n
//   bind("g w", "To the worklist", go);         two keys, one after the other
//   bind("Ctrl+Enter", "Sign", sign);           with Ctrl, Alt or Meta: works while somebody types, too
//   bind("Escape", "Close", close, { typing: true, group: "Report" });
//
// Import it as "./keys.js" and never by asset(): a second address would be a second module with other bindings.
// Letters and digits alone never act while somebody types, and can be switched off in the list of keys (WCAG 2.1.4).
// Under an open dialog none of them acts: it has the browser's keys and its own, and Ctrl+Enter sends its form.

const bound = new Map();
const OFF = "wetread-letters-off";
const PAUSE = 1500; // ms between the two keys of a sequence
const TYPED = "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable]";
const OF_ALL_PAGES = ["Everywhere", "Go to"]; // groups
const NAMED = new Map([[" ", "Space"], ["ArrowUp", "Up"], ["ArrowDown", "Down"], ["ArrowLeft", "Left"], ["ArrowRight", "Right"]]);
const QUIET = 600; // ms without a key in a field
let pending = "";
let pendingSince = 0;
let typed = -Infinity; // when a key was last pressed in a field

/** Let a key do something. options: typing (also in fields), group (its heading in the list). Returns what unbinds it. */
export function bind(key, words, action, { typing = /^(Ctrl|Alt|Meta)\+/.test(key), group = "This page" } = {}) {
  bound.set(key, { words, action, typing, group });
  return () => bound.delete(key);
}

/** Show the list of keys. */
export function help() {
  document.getElementById("keys")?.remove();
  const dialog = made("dialog", { id: "keys" });
  dialog.setAttribute("aria-labelledby", "keys-title");
  dialog.append(made("h2", { id: "keys-title", textContent: "Keys" }), table(), letters());
  const close = made("button", { textContent: "Close", className: "main" });
  close.addEventListener("click", () => dialog.close());
  const bar = made("div", { className: "toolbar" });
  bar.append(close);
  dialog.append(bar);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  close.focus({ preventScroll: true });
  dialog.scrollTop = 0; // to show it has moved the list to its first control, which is at the end
}

function table() {
  const groups = new Map();
  for (const [key, { words, group }] of bound) {
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push([key, words]);
  }
  const all = made("div", { className: "keys" });
  const own = [...groups].filter(([group]) => !OF_ALL_PAGES.includes(group)); // what somebody asks for comes first
  for (const [group, rows] of [...own, ...OF_ALL_PAGES.filter((one) => groups.has(one)).map((one) => [one, groups.get(one)])]) {
    const list = made("dl");
    for (const [key, words] of rows) {
      const term = made("dt");
      for (const part of key.split(" ").filter(Boolean)) term.append(made("kbd", { textContent: NAMED.get(part) ?? part }), " ");
      list.append(term, made("dd", { textContent: words }));
    }
    const section = made("section");
    section.append(made("h3", { textContent: group }), list);
    all.append(section);
  }
  return all;
}

function letters() {
  const label = made("label");
  const box = made("input", { type: "checkbox", checked: !lettersOff() });
  box.addEventListener("change", () => keep(OFF, box.checked ? "" : "off"));
  label.append(box, " Keys without Ctrl or Alt work (remembered by this browser)");
  const line = made("p");
  line.append(label);
  return line;
}

function heard(event) {
  if (event.defaultPrevented || event.isComposing || ["Shift", "Control", "Alt", "Meta", "AltGraph"].includes(event.key)) return;
  const key = nameOf(event);
  const field = event.target instanceof Element ? event.target.closest(TYPED) : null;
  const typing = field !== null && field.closest("dialog:not([open])") === null; // one that was just closed has the focus a moment longer
  const under = dialogOf(event);
  if (under) {
    if (key !== "Ctrl+Enter") return;
    event.preventDefault();
    const form = under.querySelector("form");
    form?.requestSubmit(form.querySelector("button[value=do]"));
    return;
  }
  const plain = !/^(Ctrl|Alt|Meta)\+/.test(key);
  if (plain && key !== "?" && key.length === 1 && lettersOff()) return;
  const two = pending && event.timeStamp - pendingSince < PAUSE ? `${pending} ${key}` : "";
  pending = "";
  const found = bound.get(two) ?? bound.get(key);
  if (found) {
    if (typing && !found.typing) return;
    event.preventDefault();
    found.action(event);
  } else if (!typing && [...bound.keys()].some((one) => one.startsWith(`${key} `))) {
    pending = key;
    pendingSince = event.timeStamp;
  }
}

/** The dialog that the keys are for; null where none is open. */
function dialogOf({ target }) {
  const open = document.querySelectorAll("dialog[open]");
  return (target instanceof Element && target.closest("dialog[open]")) || (open[open.length - 1] ?? null);
}

/**
 * Escape does not close a dialog while held() says so. A browser lets `cancel` be prevented once, and closes at the next
 * press. Gives what ends it.
 */
export function holdOpen(dialog, held = () => true) {
  const stay = (event) => {
    if (dialog.open && (event.type === "cancel" || event.key === "Escape") && held()) event.preventDefault();
  };
  dialog.addEventListener("cancel", stay);
  document.addEventListener("keydown", stay, true);
  return () => {
    dialog.removeEventListener("cancel", stay);
    document.removeEventListener("keydown", stay, true);
  };
}

/** The key as people call it. Where a layout has no Latin letters (Korean, Russian, Arabic), its place on the keyboard. */
export function nameOf(event) {
  let key = event.key;
  if (key.length === 1 && key > "\u007f" && /^(Key[A-Z]|Digit[0-9])$/.test(event.code)) {
    key = event.code.at(-1);
    if (!event.shiftKey) key = key.toLowerCase();
  }
  const altGraph = event.getModifierState("AltGraph");
  const with_ = [event.ctrlKey && !altGraph && "Ctrl", event.altKey && !altGraph && "Alt", event.metaKey && "Meta"].filter(Boolean);
  return [...with_, key].join("+");
}

function lettersOff() {
  try {
    return localStorage.getItem(OFF) === "off";
  } catch {
    return false;
  }
}

/** Does nobody type? */
export function isQuiet() {
  return performance.now() - typed >= QUIET;
}

/** Wait until nobody types: a dialog that comes by itself takes no key that was meant for a text. */
export async function quiet() {
  while (!isQuiet()) await new Promise((resolve) => setTimeout(resolve, QUIET / 4));
}

/** Keep a choice in this browser; where it keeps nothing, the choice ends with the page. */
export function keep(name, value) {
  try {
    if (value) localStorage.setItem(name, value);
    else localStorage.removeItem(name);
  } catch {
    // storage is switched off
  }
}

/** An element with properties. Text goes in as textContent: nothing here is ever parsed as markup. */
export function made(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

document.addEventListener("keydown", ({ target }) => { if (target instanceof Element && target.closest(TYPED)) typed = performance.now(); }, true);
document.addEventListener("keydown", heard);
