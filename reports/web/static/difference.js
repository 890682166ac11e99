/* The words of two texts side by side: what stayed, what went, what came. */

const TOKEN = /[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*|\s+|[^\s]/gu;
const MOST_CELLS = 4_000_000; // beyond it both middles count as changed: two reports of 2,000 words each

/**
 * Compare by words. Returns runs in order: {mark: "=", "-" or "+", text}. All "=" and "-" joined are `before`,
 * all "=" and "+" joined are `after`, character by character.
 */
export function difference(before, after) {
  const old = before.match(TOKEN) ?? [];
  const now = after.match(TOKEN) ?? [];
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  let tail = 0;
  while (
    tail < old.length - head && tail < now.length - head &&
    old[old.length - 1 - tail] === now[now.length - 1 - tail]
  ) tail += 1;
  const middle = compared(old.slice(head, old.length - tail), now.slice(head, now.length - tail));
  return joined([
    ...old.slice(0, head).map((text) => ({ mark: "=", text })),
    ...middle,
    ...old.slice(old.length - tail).map((text) => ({ mark: "=", text })),
  ]);
}

/** How many words came and went. */
export function count(runs) {
  const words = (mark) => runs.filter((run) => run.mark === mark)
    .reduce((sum, run) => sum + (run.text.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? []).length, 0);
  return { added: words("+"), removed: words("-") };
}

/** Put a difference into an element: <ins> and <del>, so that it is told without color as well. */
export function show(element, runs) {
  element.replaceChildren(...runs.map(({ mark, text }) => {
    if (mark === "=") return document.createTextNode(text);
    const made = document.createElement(mark === "+" ? "ins" : "del");
    made.textContent = text;
    return made;
  }));
}

/** Longest common subsequence of two lists of tokens. */
function compared(old, now) {
  if (old.length * now.length > MOST_CELLS) {
    return [...old.map((text) => ({ mark: "-", text })), ...now.map((text) => ({ mark: "+", text }))];
  }
  const width = now.length + 1;
  const longest = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = old[i] === now[j]
        ? longest[(i + 1) * width + j + 1] + weight(old[i])
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const runs = [];
  let [i, j] = [0, 0];
  while (i < old.length && j < now.length) {
    if (old[i] === now[j]) {
      runs.push({ mark: "=", text: old[i] });
      i += 1;
      j += 1;
    } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
      runs.push({ mark: "-", text: old[i] });
      i += 1;
    } else {
      runs.push({ mark: "+", text: now[j] });
      j += 1;
    }
  }
  runs.push(...old.slice(i).map((text) => ({ mark: "-", text })));
  runs.push(...now.slice(j).map((text) => ({ mark: "+", text })));
  return runs;
}

/** A word that stays is worth more than a blank that stays. */
function weight(token) {
  return /\s/u.test(token) ? 1 : 4;
}

/** Neighbors of one mark as one run; a blank between two changes changes with them; what went stands first. */
function joined(tokens) {
  const runs = [];
  let [removed, added] = ["", ""];
  const flush = () => {
    if (removed) runs.push({ mark: "-", text: removed });
    if (added) runs.push({ mark: "+", text: added });
    [removed, added] = ["", ""];
  };
  tokens.forEach((token, place) => {
    if (token.mark === "-") removed += token.text;
    else if (token.mark === "+") added += token.text;
    else if ((removed || added) && /^\s+$/u.test(token.text) && (tokens[place + 1]?.mark ?? "=") !== "=") {
      removed += token.text;
      added += token.text;
    } else {
      flush();
      if (runs.at(-1)?.mark === "=") runs.at(-1).text += token.text;
      else runs.push({ mark: "=", text: token.text });
    }
  });
  flush();
  return runs;
}
