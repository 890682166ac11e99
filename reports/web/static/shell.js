// What every page has: the theme, the keys that go to other pages, and a page that keeps itself new.

import { bind, help, keep } from "./keys.js";

const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;
const button = document.getElementById("theme");

function theme() {
  return root.dataset.theme ?? "auto";
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  keep("wetread-theme", next === "auto" ? "" : next);
  label();
}

function label() {
  if (button) button.textContent = `Theme: ${theme()}`;
}

button?.addEventListener("click", nextTheme);
document.getElementById("show-keys")?.addEventListener("click", help);
label();

bind("?", "Show the keys", help, { group: "Everywhere" });
bind("t", "Light, dark, or as the system says", nextTheme, { group: "Everywhere" });
for (const link of document.querySelectorAll("nav a[data-key]")) {
  bind(`g ${link.dataset.key}`, link.textContent.trim(), () => location.assign(link.href), { group: "Go to" });
}

// A page with data-live asks for itself every so many seconds, and leaves alone what somebody is at.
const seconds = Number(document.body.dataset.live ?? 0);
let asking = false;

/** Is somebody at something here? */
function busy() {
  const focus = document.activeElement;
  const selected = String(getSelection() ?? "") !== "";
  const edited = document.querySelector("main details[open] form, dialog[open], main form[data-edited]");
  return document.hidden || selected || edited !== null || Boolean(focus?.closest("main input, main textarea, main select"));
}

/** Who is at a link or a button is at the same one of the new content. */
function keepFocus(main, change) {
  const { activeElement: at } = document;
  const all = () => [...main.querySelectorAll("a, button, summary")];
  const place = all().indexOf(at);
  change();
  if (place < 0) return;
  const isSame = (one) => one.isEqualNode(at);
  const there = all()[place];
  (there && isSame(there) ? there : all().find(isSame))?.focus({ preventScroll: true });
}

async function again() {
  if (asking || busy()) return;
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "Wetread-Unattended": "1" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [old, now] = [document.querySelector("main"), fresh.querySelector("main")];
    if (now && !busy() && old.innerHTML !== now.innerHTML) keepFocus(old, () => old.replaceChildren(...now.childNodes)); // or it came meanwhile
    const [was, is] = [document.querySelector("footer"), fresh.querySelector("footer")];
    if (was && is) was.replaceChildren(...is.childNodes);
  } catch {
    // the server is away; the next look tells
  } finally {
    asking = false;
  }
}

document.addEventListener("input", (event) => {
  const form = event.target.closest?.("main form");
  if (form) form.dataset.edited = "yes";
});
if (seconds > 0) setInterval(again, seconds * 1000);
