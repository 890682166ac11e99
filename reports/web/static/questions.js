/* Questions about the film: asked here, answered by the model, put into the report by nobody but a person. */

import { Answers } from "./answers.js";
import { made } from "./keys.js";
import { ask } from "./session.js";

const EVERY = 700; // ms, while an answer is being written
const AGAIN = 5_000; // ms, where the server does not answer
const OVER = "Close this list and open it again to go on.";
const WHY = new Map([
  [401, "Your session is over, so that no answers come."],
  [404, "There is no report here any more."],
]);
const STATES = {
  waiting: "Waits until the model reads no film",
  answering: "The model is writing",
  answered: "AI answer, not verified",
  failed: "No answer",
};

/** panel: the section. base: address of the report. report: its number, of two the one that is read here. insert(answer): put it into the findings; null where that cannot be. */
export class Questions {
  #timer = 0;
  #shown = []; // each as it was told
  #isPutting = false;
  #isOver = false; // it makes no sense to ask again by itself
  #answers = new Answers(() => this.#listed());

  constructor(panel, { base, report, insert }) {
    this.address = `${base}/questions`;
    this.report = report;
    this.insert = insert;
    this.list = panel.querySelector("ol");
    this.fault = panel.querySelector(".fault");
    const form = panel.querySelector("form");
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.put(form.elements.words);
    });
    panel.addEventListener("toggle", () => { if (panel.open) void this.look(); });
    if (panel.open) void this.look();
  }

  /** A second Enter while the first one is on its way is none; what is typed meanwhile stays. */
  async put(field) {
    if (this.#isPutting) return;
    this.#isPutting = true;
    const { value } = field;
    let isPut = false;
    await this.#answers.newest(async () => {
      const { questions, why = "" } = await this.#asked(value);
      this.#isPutting = false;
      this.fault.textContent = why;
      isPut = !why;
      if (isPut && field.value === value) field.value = "";
      return { questions };
    }, ({ questions }) => {
      if (questions) this.show(questions);
      else if (isPut) this.#later(AGAIN);
    });
  }

  /** {questions}: those that there are by then; {why}: it was not taken. */
  async #asked(words) {
    const headers = { "Content-Type": "application/json" };
    const answer = await ask(this.address, { method: "POST", headers, body: JSON.stringify({ words, report: this.report }) }).catch(() => null);
    const told = (await answer?.json().catch(() => null)) ?? {};
    return answer?.ok ? { questions: told.questions } : { why: told.detail ?? "The server does not answer. Try again." };
  }

  look() {
    return this.#answers.newest(() => this.#listed(), ({ questions, why }) => {
      if (questions) this.show(questions);
      else if (why) this.#end(why);
      else this.#later(AGAIN);
    });
  }

  /** {questions}: those that there are; {why}: none will come however often they are asked for; else the server was silent. */
  async #listed() {
    const answer = await ask(`${this.address}?report=${this.report}`, { unattended: true }).catch(() => null);
    const told = (await answer?.json().catch(() => null)) ?? {};
    if (answer?.ok) return { questions: told.questions };
    const isOver = answer && answer.status < 500 && answer.status !== 429;
    return isOver ? { why: WHY.get(answer.status) ?? told.detail ?? `The server has refused (${answer.status}).` } : {};
  }

  #end(why) {
    this.#isOver = true;
    this.fault.textContent = `${why} ${OVER}`;
  }

  #later(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { void this.look(); }, wait);
  }

  show(questions) {
    this.#answers.shown();
    clearTimeout(this.#timer);
    if (this.#isOver) this.fault.textContent = "";
    this.#isOver = false;
    if (questions.some(({ state }) => state === "waiting" || state === "answering")) this.#later(EVERY);
    const now = questions.map((one) => JSON.stringify(one));
    questions.forEach((one, place) => { // a line that stays as it is keeps its button for who is at it
      if (now[place] === this.#shown[place]) return;
      const old = this.list.children[place];
      if (old) old.replaceWith(this.#line(one));
      else this.list.append(this.#line(one));
    });
    while (this.list.children.length > now.length) this.list.lastElementChild.remove();
    this.#shown = now;
  }

  #line({ by, words, answer, state, trouble, reader, elsewhere }) {
    const line = made("li");
    const question = made("p", { className: "asked" });
    question.append(made("bdi", { textContent: words }), made("span", { className: "quiet", textContent: ` ${by}` }));
    if (elsewhere) question.append(made("strong", { textContent: " About another film, not the one of this report." }));
    const said = state === "answering" ? `${answer} …` : answer; // "No effusion" may go on "is excluded"
    line.append(question, made("p", { className: `answer is-${state}`, textContent: trouble || said }));
    const told = made("p", { className: "quiet", textContent: `${STATES[state]}${reader ? `: ${reader}` : ""} ` });
    if (state === "answered" && this.insert && !elsewhere) {
      const button = made("button", { type: "button", textContent: "Insert into the findings" });
      button.addEventListener("click", () => this.insert(answer));
      told.append(button);
    }
    line.append(told);
    return line;
  }
}
