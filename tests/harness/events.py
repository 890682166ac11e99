"""News of the server that a test tells itself, in place of a stream that comes when it comes."""

from __future__ import annotations

from typing import Final

# The newest stream hears emit(name, data); turn(hidden) hides the page from its person, or shows it.
STREAM: Final = """
window.sources = [];
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  constructor(url) { super(); this.url = url; this.readyState = 1; window.sources.push(this); }
  close() { this.readyState = 2; }
};
window.emit = (name, data) => {
  window.sources.at(-1).dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data) }));
};
window.turn = (hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
};
"""
