// Numbers, times and untrusted text as the page shows them. Knows no DOM.

// Seconds that the service's clock is ahead of the browser's: ages must be right if the browser's clock is wrong.
let ahead = 0;

/** Learn the service's clock from the Date header of an answer; whole seconds, so small differences say nothing. */
export function learnClock(date) {
  const difference = Date.parse(date) / 1000 - Date.now() / 1000;
  if (Number.isFinite(difference)) ahead = Math.abs(difference) > 5 ? difference : 0;
}

export const clockError = () => ahead;

/** The service's time in epoch seconds. */
export const now = () => Date.now() / 1000 + ahead;

const grouped = new Intl.NumberFormat("en");

export const number = (value) => (Number.isFinite(value) ? grouped.format(value) : "–");

/** A number with few digits, for figures such as 3.4e38 addresses of an IPv6 network. */
export function large(value) {
  return value < 1e15 ? number(value) : `about 10^${Math.round(Math.log10(value))}`;
}

export const counted = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

const UNITS = [
  ["year", 31557600],
  ["day", 86400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

/** `11.4 years`, `3 days`, `2 h 5 min`: never more than two units. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "for ever";
  let whole = Math.max(0, seconds);
  // Rounded first, so that 59.7 s is a minute and not "60 s".
  whole = whole < 10 ? Math.round(whole * 10) / 10 : Math.round(whole);
  for (const [index, [unit, length]] of UNITS.entries()) {
    if (whole < length) continue;
    if (unit === "year" || unit === "day") {
      const shown = Math.round((whole / length) * 10) / 10;
      return `${grouped.format(shown)} ${shown === 1 ? unit : `${unit}s`}`;
    }
    const [smaller, size] = UNITS[index + 1] ?? [];
    const rest = smaller ? Math.floor((whole % length) / size) : 0;
    return rest
      ? `${Math.floor(whole / length)} ${unit} ${rest} ${smaller}`
      : `${smaller ? Math.floor(whole / length) : whole} ${unit}`;
  }
  return `${whole} s`;
}

/** `5 min ago`, `in 3 days`. */
export function relative(at) {
  const age = now() - at;
  if (Math.abs(age) < 1.5) return "now";
  // One unit is enough for an age.
  const text = duration(Math.abs(age) < 10 ? Math.round(Math.abs(age)) : Math.abs(age))
    .split(" ")
    .slice(0, 2)
    .join(" ");
  return age >= 0 ? `${text} ago` : `in ${text}`;
}

function dated(at) {
  const date = new Date(at * 1000);
  // A time that no calendar has, such as 1e300, must not break the page.
  return Number.isFinite(at) && Number.isFinite(date.getTime()) && date.getFullYear() < 10000 ? date : null;
}

export const iso = (at) => dated(at)?.toISOString() ?? null;

const two = (value) => String(value).padStart(2, "0");

/** A time in the browser's zone: `2026-02-03 14:05:09`. */
export function local(at) {
  const date = dated(at);
  if (!date) return "unknown time";
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}

/** `14:05:09`, or `14:05` without seconds. */
export function clock(at, seconds = true) {
  const date = dated(at);
  if (!date) return "?";
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "the browser's zone";

// What Python's str.isprintable calls unprintable: control and format characters, bidirectional marks, lone
// surrogates, separators but the space. The commands of zmban escape the same.
const UNPRINTABLE = /\p{C}|(?! )\p{Z}/gu;
const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character) {
  const code = character.codePointAt(0);
  if (NAMED[character]) return NAMED[character];
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code <= 0xffff
    ? `\\u${code.toString(16).padStart(4, "0")}`
    : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Untrusted text with every unprintable character written as an escape. */
export const printable = (text) => String(text ?? "").replace(UNPRINTABLE, escaped);

/** Untrusted text as pieces [text, isEscape]. */
export function pieces(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(UNPRINTABLE)) {
    if (match.index > end) found.push([text.slice(end, match.index), false]);
    found.push([escaped(match[0]), true]);
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push([text.slice(end), false]);
  return found;
}

/** The beginning of a long text; a surrogate pair is not cut in two. */
export function shortened(text, most) {
  const whole = String(text ?? "");
  if (whole.length <= most) return whole;
  const cut = whole.charCodeAt(most - 1) >> 10 === 0x36 ? most - 1 : most;
  return `${whole.slice(0, cut)}…`;
}

/** A part of an address. A lone surrogate, which a log may contain, has no encoding. */
export const encoded = (part) =>
  encodeURIComponent(String(part).toWellFormed()).replaceAll("%2F", "/").replaceAll("%3A", ":");

/** Whether a text looks like an IP address or network. The service has the last word. */
export const looksLikeNetwork = (text) =>
  /^[\d.]+(\/\d+)?$|^[0-9a-f]*:[0-9a-f:.]*(\/\d+)?$/i.test(text.trim());
