/* Moments as people here read them. */

/** 14:02, in the time zone of this browser. */
export function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** 2026-11-22 14:02 */
export function moment(at) {
  const day = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())} ${clock(at)}`;
}
