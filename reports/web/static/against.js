/* Warnings beside the text: a finding that was set against the words, and words that contradict each other. */

import { made } from "./keys.js";
import { button } from "./told.js";

/**
 * The lines below the findings. contradictions: as the server says them. locked: nobody can change the words here.
 * show(place), replace(place, words), insert(words), release(label): what the buttons do; a place is
 * {words, section, start, end} in UTF-16 code units.
 */
export function lines(contradictions, locked, acts) {
  return contradictions.map((one) => {
    const line = made("li");
    line.append(made("strong", { textContent: one.sentence }), quotes(one));
    line.append(...(one.offer ? offers(one, locked, acts) : one.quoted.map((place) => button(`Show ${quote(place)}`, () => acts.show(place)))));
    return line;
  });
}

/** The same as sentences, for the dialog before a signature. */
export function sentences(contradictions) {
  return contradictions.map((one) => `${one.sentence}${quotes(one)}`.trim());
}

/** To insert beside a sentence that says the opposite would make the text say both: there the sentence is replaced. */
function offers({ label, quoted: [said], alone, offer }, locked, { show, replace, insert, release }) {
  if (locked) return [];
  const put = !said ? [button(`Insert “${offer}”`, () => insert(offer))]
    : alone ? [button(`Replace it by “${offer}”`, () => replace(said, offer))]
      : [button("Show the sentence", () => show(said)), button(`Insert “${offer}”`, () => insert(offer))];
  return [...put, button("As the text says", () => release(label))];
}

function quotes({ quoted }) {
  return ` ${quoted.map(quote).join(" ")} `;
}

function quote({ words }) {
  return `“${words.trim()}”`;
}
