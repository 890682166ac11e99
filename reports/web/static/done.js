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

/** Does `desk` show that the act is done which was sent with `body` when the report was in state `from`? */
export function isDone(act, body, from, desk) {
  if (BECOMES[act]) return desk.state !== from && BECOMES[act].includes(desk.state);
  return SHOWS[act]?.(desk, body) ?? false;
}

/** May it have been another of that kind, sent by the same person in another tab? Then this one was refused. */
export function isDoubtful(act) {
  return SHOWS[act] === hasAdded;
}

/** Of two addenda to what was seen the server takes one; somebody else's is not in `added`. */
function hasAdded({ added }, { seen }) {
  return added.some((number) => number > seen);
}
