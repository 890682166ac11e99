/* Findings as chips: what the text says of each, what a person has set, and the way to the sentence. */

import { made } from "./keys.js";

const SIGNS = new Map([["present", "+"], ["absent", "−"], ["uncertain", "?"], ["", ""]]);
const WORDS = new Map([["present", "present"], ["absent", "absent"], ["uncertain", "undetermined"], ["", "not mentioned"]]);

/**
 * element: where the chips are. set(label, state): a person chose; state "" is what the text says. go(finding): show
 * where it is said.
 */
export class Chips {
  #findings = [];
  #chosen = {};
  #locked = true;

  constructor(element, { set, go }) {
    Object.assign(this, { element, set, go });
  }

  /** Show what the text says and what was set. A chip that nobody touches stays the same element. */
  show(findings, chosen, locked) {
    this.#findings = findings;
    this.#chosen = chosen;
    this.#locked = locked;
    const said = findings.filter(({ label, state }) => state || chosen[label]);
    const silent = findings.filter(({ label, state }) => !state && !chosen[label]);
    const kept = new Map([...this.element.querySelectorAll(".finding")].map((chip) => [chip.dataset.label, chip]));
    const chips = said.map((finding) => this.#fill(kept.get(finding.label) ?? this.#make(finding.label), finding));
    const more = this.#more(silent);
    const now = [...chips, more];
    if (now.length !== this.element.children.length || now.some((one, place) => this.element.children[place] !== one)) {
      const active = document.activeElement;
      this.element.replaceChildren(...now);
      if (active instanceof HTMLElement && this.element.contains(active)) active.focus();
    }
  }

  /** Mark the chips whose sentence has the caret in it. */
  point(section, place) {
    for (const chip of this.element.querySelectorAll(".finding")) {
      const finding = this.#findings.find(({ label }) => label === chip.dataset.label);
      const here = finding?.places.some((one) => one.section === section && one.start <= place && place <= one.end);
      chip.classList.toggle("here", Boolean(here));
    }
  }

  #make(label) {
    const chip = made("span", { className: "finding" });
    chip.dataset.label = label;
    const name = made("button", { type: "button", className: "name" });
    name.addEventListener("click", () => this.go(this.#findings.find((one) => one.label === label)));
    const choice = made("select");
    choice.setAttribute("aria-label", `${label}: what it is`);
    for (const [state, words] of WORDS) choice.append(made("option", { value: state, textContent: words }));
    choice.addEventListener("change", () => this.#choose(label, choice.value));
    chip.append(name, choice);
    return chip;
  }

  #fill(chip, { label, state, detail, both, places }) {
    const set = this.#chosen[label];
    const shown = set ?? state;
    chip.className = `finding is-${shown || "silent"}${set && set !== state ? " differs" : ""}`;
    const [name, choice] = chip.children;
    name.textContent = `${SIGNS.get(shown)} ${label}${detail && !set ? `, ${detail}` : ""}${both ? " (both are said)" : ""}`.trim();
    name.title = places.length ? "Show the sentence" : "The text does not say so";
    if (choice !== document.activeElement || choice.value !== shown) choice.value = shown;
    choice.disabled = this.#locked;
    return chip;
  }

  /** Those that the text does not mention, in one list. */
  #more(silent) {
    const kept = this.element.querySelector(".more") ?? made("select", { className: "more" });
    kept.setAttribute("aria-label", "Add a finding");
    const now = ["", ...silent.map(({ label }) => label)];
    if (now.length !== kept.options.length || now.some((label, place) => kept.options[place].value !== label)) { // else it stays open for who chooses
      kept.replaceChildren(...now.map((label) => made("option", { value: label, textContent: label || "add a finding" })));
    }
    kept.disabled = this.#locked;
    kept.onchange = () => {
      const { value } = kept;
      kept.value = "";
      if (value) this.#choose(value, "present");
    };
    return kept;
  }

  #choose(label, state) {
    const said = this.#findings.find((one) => one.label === label)?.state ?? "";
    this.set(label, state === said ? "" : state);
  }
}
