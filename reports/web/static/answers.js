/* Answers of the server come in any order: what a page shows is never older than what it has shown before. */

export class Answers {
  #shown = 0;

  /** look(): asks for the state as it is now. */
  constructor(look) {
    this.look = look;
  }

  /** A state is shown now. */
  shown() {
    this.#shown += 1;
  }

  /**
   * The state that call() gives. Where another one was shown meanwhile it may be older than that: then the server is asked
   * once more; where it does not answer, what is shown stays, and this gives what call() gave, unshown. use(state) shows it,
   * in the same moment. Raises as call() does.
   */
  async newest(call, use = () => {}) {
    let state = null;
    for (let ask = call; ; ask = this.look) {
      const before = this.#shown;
      try {
        state = await ask();
      } catch (error) {
        if (state === null) throw error;
        return state; // what was asked for is done; what is shown stays
      }
      if (this.#shown === before) {
        use(state);
        return state;
      }
    }
  }
}
