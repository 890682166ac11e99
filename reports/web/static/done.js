/* What the state of a report shows of an act whose answer is slow, or lost. */

const BECOMES = { // whoever has done it
  sign: ["VERIFIED", "AWAITING SECOND"], accept: ["VERIFIED", "AWAITING SECOND"], cosign: ["VERIFIED"],
  reject: ["REJECTED"], "send-back": ["DRAFT"], withdraw: ["WITHDRAWN"],
};
const SHOWS = {
  "hand-over": ({ mine, holder, handed }, { to }) => !mine && (holder?.user === to || handed?.user === to),
  close: ({ closed }) => closed,
  addendum: hasAdded,
  "take-over": hasAdded, // in one commit with the end of the draft
};
const REFUSAL = 2_000; // ms

/** Does `desk` show that the act is done which was sent with `body` when the report was in state `from`? */
export function isDone(act, body, from, desk) {
  if (BECOMES[act]) return desk.state !== from && BECOMES[act].includes(desk.state);
  return SHOWS[act]?.(desk, body) ?? false;
}

/** How long, in ms, an answer may still come after that: this person may have added other words in another tab, and these were refused. */
export function patience(act) {
  return SHOWS[act] === hasAdded ? REFUSAL : 0;
}

/** Of two addenda to what was seen the server takes one; somebody else's is not in `added`. */
function hasAdded({ added }, { seen }) {
  return added.some((number) => number > seen);
}
