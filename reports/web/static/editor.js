/* A text field with marks behind its words: which are the AI's, which phrases are doubtful, which sentence is meant. */

import { difference } from "./difference.js";

/**
 * One section of a report. field: a <textarea>; behind: the element in the same place of the grid, whose words are
 * transparent and whose marks show through; it also gives the field its height. written: the AI's text.
 */
export class Editor {
  #claims = [];
  #meant = [];
  #answers = [];

  constructor(field, behind, written) {
    this.field = field;
    this.behind = behind;
    this.written = written;
    this.runs = [];
    field.addEventListener("input", () => this.paint());
    field.addEventListener("scroll", () => { field.scrollTop = 0; });
    this.paint();
  }

  get text() {
    return this.field.value;
  }

  /** Other words, of the server or of this tab; the browser forgets what could be undone. */
  set text(words) {
    if (words === this.field.value) return;
    this.field.value = words;
    this.paint();
  }

  get isUntouched() {
    return this.field.value === this.written;
  }

  /** claims, meant: lists of {start, end} in UTF-16 code units. */
  mark({ claims = this.#claims, meant = this.#meant }) {
    this.#claims = claims;
    this.#meant = meant;
    this.paint();
  }

  /** Words that are the machine's as well, once they are inserted. */
  knows(answer) {
    this.#answers.push(answer);
  }

  /** Add a sentence at the end, and leave the caret behind it. */
  append(sentence) {
    const base = this.field.value.replace(/\s+$/u, "");
    this.#type(base.length, this.field.value.length, base ? ` ${sentence}` : sentence);
  }

  /** Put a sentence in the place of another one, whose full stop stays. */
  replace({ start, end }, sentence) {
    const isEnded = /^\s*[.!?;:,]/u.test(this.field.value.slice(end));
    this.#type(start, end, isEnded ? sentence.replace(/\.$/u, "") : sentence);
  }

  /** All other words, of this person; Ctrl+Z brings those from before. */
  rewrite(words) {
    if (words !== this.field.value) this.#type(0, this.field.value.length, words);
  }

  /** As a person who types would: it can be undone. */
  #type(start, end, words) {
    this.field.focus();
    this.field.setSelectionRange(start, end);
    if (!document.execCommand(words ? "insertText" : "delete", false, words)) { // the only way that can be undone; not in every browser
      this.field.setRangeText(words, start, end, "end");
    }
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** Bring a place into view and select it. */
  select({ start, end }) {
    this.field.focus({ preventScroll: true });
    this.field.setSelectionRange(start, end);
    this.behind.querySelector(".meant")?.scrollIntoView({ block: "nearest" });
  }

  paint() {
    this.runs = difference(this.written, this.field.value);
    const marks = [...own(this.runs, this.field.value, this.#answers), ...named(this.#claims, "claim"), ...named(this.#meant, "meant")];
    this.behind.replaceChildren(...slices(this.field.value, marks), document.createTextNode("\n"));
  }
}

function own(runs, value, answers) {
  const marks = answers.map((answer) => ({ start: value.indexOf(answer), end: value.indexOf(answer) + answer.length, name: "ai" }))
    .filter(({ start }) => start >= 0);
  let place = 0;
  for (const { mark, text } of runs) {
    if (mark === "-") continue;
    marks.push({ start: place, end: place + text.length, name: mark === "=" ? "ai" : "own" });
    place += text.length;
  }
  return marks;
}

function named(places, name) {
  return places.map(({ start, end }) => ({ start, end, name }));
}

function slices(text, marks) {
  const inside = ({ start, end }) => start < end && end <= text.length;
  const kept = marks.filter(inside);
  const cuts = [...new Set([0, text.length, ...kept.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  return cuts.slice(0, -1).map((start, number) => {
    const made = document.createElement("span");
    made.className = kept.filter((mark) => mark.start <= start && start < mark.end).map(({ name }) => name).join(" ");
    made.textContent = text.slice(start, cuts[number + 1]);
    return made;
  });
}
