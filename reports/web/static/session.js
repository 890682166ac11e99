// A session that ends while somebody works: the dialog asks for the password, and what was to be sent is sent again.
//
//   import { ask, askPassword, signedIn } from "./session.js";
//   const answer = await ask(url, options);                in place of fetch()
//   await ask(url, { within: 60_000 });                    fails where it takes longer, in ms; signing in again does not count
//   await ask(url, { unattended: true });                  nobody asked for this: keeps no session awake, opens no dialog
//   if (await askPassword("Withdraw this report")) ...     the password (or PIN, with {pin: true}) again, for what is grave
//   await signedIn();                                      the dialog now; after a stream ended with 401

import { holdOpen, made, quiet } from "./keys.js";
import { limit } from "./patience.js";

export const SIGNED_IN = "wetread:signed-in"; // event
let waiting = null;
let renewals = 0; // how often somebody has signed in again on this page

/** As fetch(). Where the session is over, it waits until the same person has signed in again, then asks once more. */
export async function ask(url, options = {}) {
  const { unattended = false, within = 0, ...rest } = options;
  const headers = new Headers(rest.headers);
  if (!headers.has("Accept")) headers.set("Accept", "application/json");
  if (unattended) headers.set("Wetread-Unattended", "1");
  const before = renewals;
  const answer = await fetch(url, { ...rest, headers, ...limit(within) });
  if (answer.status !== 401 || unattended) return answer;
  if (renewals !== before) return ask(url, options); // it was asked in the session that has ended
  await signedIn();
  return fetch(url, { ...rest, headers, ...limit(within) });
}

/** Show the dialog, and be done when this person is signed in; the document hears of it then. Several callers share one dialog. */
export function signedIn() {
  waiting ??= quiet().then(signInAgain).then(() => {
    renewals += 1;
    document.dispatchEvent(new Event(SIGNED_IN));
  }).finally(() => {
    waiting = null;
  });
  return waiting;
}

/** A link to the hospital's provider, in a tab of its own, where a person proves it who has no password here; or null. */
export function elsewhere() {
  const words = document.querySelector("[data-oidc]")?.dataset.oidc;
  if (!words) return null;
  return made("a", { href: "/oidc/begin?again=1&next=%2Foidc%2Fdone", target: "_blank", rel: "noopener", textContent: words });
}

/** Ask for a proof that the same person is still here: true when it was given, false when it was called off. */
export function askPassword(words, { pin = false } = {}) {
  const field = pin ? "pin" : "password";
  return new Promise((resolve) => {
    const dialog = box(words, pin ? "Your PIN" : "Your password");
    const input = secret(pin);
    const send = () => post(ask, "/account/prove", { [field]: input.value });
    fill(dialog, input, "Go on", send, () => done(true));
    const cancel = made("button", { type: "button", textContent: "Cancel" });
    cancel.addEventListener("click", () => done(false));
    const bar = dialog.querySelector(".toolbar"), link = pin ? null : elsewhere();
    if (link) {
      const told = made("button", { type: "button", textContent: "I have signed in there" });
      told.addEventListener("click", () => done(true)); // the server knows when the provider last asked
      bar.append(link, told);
    }
    bar.append(cancel);
    dialog.addEventListener("cancel", () => done(false));
    function done(proven) {
      putAway(dialog);
      resolve(proven);
    }
  });
}

/** Has this person signed in at the provider? Then no password of theirs is known here. */
export function isByProvider() {
  return document.querySelector("[data-by-provider]") !== null;
}

function signInAgain() {
  const login = document.querySelector("[data-login]")?.dataset.login ?? "";
  const theirs = isByProvider() ? elsewhere() : null;
  return new Promise((resolve) => {
    const wanted = theirs ? "sign in there once more, and come back:" : "your password:";
    const dialog = box("Your session is over", `Nothing is lost. ${login}, ${wanted}`, theirs ? "p" : "label");
    if (theirs) {
      const bar = made("div", { className: "toolbar" });
      theirs.className = "button main";
      bar.append(theirs);
      dialog.querySelector("form").append(bar);
      document.body.append(dialog);
      dialog.showModal();
    } else {
      const input = secret(false);
      fill(dialog, input, "Sign in", () => post(fetch, "/sign-in", { login, password: input.value }), async (answer) => {
        const told = await answer.json();
        putAway(dialog);
        if (told.login === login) resolve();
        else location.reload();
      });
    }
    const another = made("a", { href: "/sign-in", target: "_blank", rel: "noopener", textContent: "Sign in another way" });
    const again = made("button", { type: "button", textContent: "I have signed in" });
    again.addEventListener("click", async () => {
      const answer = await fetch("/account/who", { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      putAway(dialog);
      if ((await answer.json()).login === login) resolve();
      else location.reload();
    });
    dialog.querySelector(".toolbar").append(another, again);
    holdOpen(dialog); // Escape would leave the page without a session
  });
}

/** The focus goes back to where it was: what is typed next belongs there. */
function putAway(dialog) {
  dialog.close();
  dialog.remove();
}

function box(title, words, tag = "label") {
  const dialog = made("dialog");
  dialog.setAttribute("aria-labelledby", "session-title");
  const form = made("form", { className: "form" });
  form.append(made("h2", { id: "session-title", textContent: title }));
  const told = made(tag, { textContent: words });
  if (tag === "label") told.htmlFor = "session-secret";
  form.append(told);
  dialog.append(form);
  return dialog;
}

function secret(pin) {
  const input = made("input", { id: "session-secret", type: "password", required: true, maxLength: pin ? 8 : 256 });
  input.autocomplete = pin ? "off" : "current-password";
  if (pin) input.inputMode = "numeric";
  return input;
}

function fill(dialog, input, words, send, then) {
  const form = dialog.querySelector("form");
  const fault = made("p", { className: "fault", hidden: true });
  fault.setAttribute("role", "alert");
  const bar = made("div", { className: "toolbar" });
  const button = made("button", { className: "main", textContent: words });
  bar.append(button);
  form.append(input, fault, bar);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    const answer = await send().catch(() => null);
    button.disabled = false;
    if (answer?.ok) {
      then(answer);
      return;
    }
    fault.textContent = await detail(answer);
    fault.hidden = false;
    input.select();
  });
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}

async function detail(answer) {
  if (answer === null) return "The server does not answer. Try again.";
  const told = await answer.json().catch(() => ({}));
  return told.detail ?? "That was refused.";
}

function post(call, url, fields) {
  const headers = { Accept: "application/json" };
  return call(url, { method: "POST", headers, body: new URLSearchParams(fields) });
}
