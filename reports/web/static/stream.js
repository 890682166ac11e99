/* What changed, as the server tells it while it happens: one connection for a page that is seen, none for a hidden one,
   since a browser has six to a host and a tab that nobody looks at needs none. */

import { SIGNED_IN } from "./session.js";

const COME_AGAIN = 20_000; // ms after the server would not let us listen

/**
 * Listen until the page goes away. changed(studies): numbers, or null for any; written(studies): somebody changes the text
 * there, and nothing else; well(): from now on nothing is missed, also after a break; silent(): the database does not answer;
 * ended(): the session is over, and nothing comes until somebody signs in again on this page; lost(): no connection. Gives an
 * object that says whether news come: `isOpen`.
 */
export function hear({ changed, written = () => {}, well = () => {}, silent = () => {}, ended = () => {}, lost = () => {} }) {
  const state = { isOpen: false };
  let source = null;
  let timer = 0;
  let isOver = false;

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
    state.isOpen = false;
  }

  function open() {
    close();
    if (isOver || document.hidden) return;
    const own = source = new EventSource("/events");
    const go = () => {
      if (state.isOpen) return;
      state.isOpen = true;
      well();
    };
    own.addEventListener("well", go);
    own.addEventListener("changed", (event) => {
      go(); // the database was silent, and is not any more
      changed(JSON.parse(event.data).studies);
    });
    own.addEventListener("written", (event) => written(JSON.parse(event.data).studies));
    own.addEventListener("silent", () => {
      state.isOpen = false;
      silent();
    });
    own.addEventListener("ended", () => {
      isOver = true;
      close();
      ended();
    });
    own.addEventListener("error", () => {
      if (source !== own) return;
      state.isOpen = false;
      lost();
      if (own.readyState === EventSource.CLOSED) timer = setTimeout(open, COME_AGAIN);
    });
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  document.addEventListener(SIGNED_IN, () => {
    if (!isOver) return;
    isOver = false;
    open();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
  return state;
}
