// The states of a part of the page while its data is loaded: loading, slow, failed (with the cure), shown.
import { every, news, unreachableSince } from "./api.js";
import { button, el, plain } from "./dom.js";
import { clock } from "./format.js";

// Before this many milliseconds nothing is said: a text that flashes is worse than none.
const SOON = 200;
const SLOW = 5000;

export const loading = (text) => el("p", { class: "loading", role: "status" }, text);

/** There is nothing to show: why, and what to do. */
export const empty = (text, ...cure) =>
  el("div", { class: "empty" }, el("p", {}, text), cure.length ? el("p", { class: "hint" }, cure) : null);

/** A request failed: the sentence of the service, and the cure. */
export function failed(error, again) {
  return el(
    "div",
    { class: "failed", role: "alert" },
    el("p", {}, el("strong", {}, "Error: "), plain(error.message)),
    error.cure ? el("p", { class: "hint" }, error.cure) : null,
    el("p", {}, again ? button("Try again", again, { "data-key": "again" }) : null),
  );
}

/** Load data and show it, now and at each call of the function returned.
 *
 * `ask(signal)` gets the data, `show(data)` puts it into `box`. If a later load fails, what is shown stays, with a
 * note of how old it is. With `again`, this happens every so many milliseconds, but not while a slow answer is
 * awaited. Nothing happens after the view is left. */
export function load(context, box, ask, show, { text = "Loading…", again = null } = {}) {
  let shownAt = null;
  let running = null;
  let broken = false;
  const stale = el("div");

  async function run() {
    running?.abort();
    broken = false;
    const mine = (running = new AbortController());
    if (shownAt === null) box.setAttribute("aria-busy", "true");
    const leave = () => mine.abort();
    context.signal.addEventListener("abort", leave, { once: true });
    const soon = setTimeout(() => shownAt === null && box.replaceChildren(loading(text)), SOON);
    const slow = setTimeout(
      () => shownAt === null && box.replaceChildren(loading("The service is slow to answer. Still waiting…")),
      SLOW,
    );
    try {
      const data = await ask(mine.signal);
      if (mine.signal.aborted) return;
      stale.remove();
      show(data);
      shownAt = Date.now() / 1000;
    } catch (error) {
      if (mine.signal.aborted) return;
      broken = true;
      // A fault of the page itself belongs into the console, too.
      if (error.status === undefined) console.error(error);
      if (shownAt === null) box.replaceChildren(failed(error, run));
      else {
        stale.replaceChildren(
          el(
            "p",
            { class: "stale" },
            `As of ${clock(shownAt)}. The newest request failed: `,
            plain(error.message),
          ),
        );
        box.prepend(stale);
      }
    } finally {
      clearTimeout(soon);
      clearTimeout(slow);
      context.signal.removeEventListener("abort", leave);
      if (running === mine) {
        running = null;
        box.removeAttribute("aria-busy");
      }
    }
  }

  // Another session may read what was refused before; a service that is back has an answer.
  news.addEventListener("signed", run, { signal: context.signal });
  news.addEventListener("reachable", () => broken && unreachableSince === null && run(), {
    signal: context.signal,
  });
  if (again) every(again, context.signal, () => running || run());
  run();
  return run;
}
