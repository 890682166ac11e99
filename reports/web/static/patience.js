/* How long a page waits for an answer. */

/** For fetch(): give up after this time, in ms, also in the midst of the answer; 0: never. */
export function limit(within) {
  if (!within) return {};
  const patience = new AbortController();
  setTimeout(() => patience.abort(), within);
  return { signal: patience.signal };
}
