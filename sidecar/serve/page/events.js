// One stream of server-sent events for the whole page, with reconnection.
import { news } from "./api.js";

const TYPES = ["ban", "extend", "unban", "refused", "status"];
// A hidden tab gives its connection back after this: a browser has only six for one server.
const HIDDEN = 60_000;
const LONGEST_PAUSE = 60_000;

/** Dispatches {type, data} as CustomEvents `ban`, `extend`, `unban`, `refused`, `status`; `reset` if events are
 * missing and everything must be loaded anew; `live` if the connection comes or goes. */
export const stream = new EventTarget();

export let live = false;

let source = null;
let pause = 1000;
let timer = null;
let missed = false;

const tell = (type, detail = null) => stream.dispatchEvent(new CustomEvent(type, { detail }));

function lively(yes) {
  if (live === yes) return;
  live = yes;
  tell("live");
}

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
  // A new connection knows nothing of what was told before.
  missed = true;
  lively(false);
}

/** Open the stream, or open it again. */
export function open() {
  close();
  source = new EventSource("api/events");
  source.addEventListener("open", () => {
    pause = 1000;
    lively(true);
    if (missed && opened) tell("reset");
    opened = true;
    missed = false;
  });
  source.addEventListener("error", () => {
    lively(false);
    // A browser reconnects by itself and tells the last id, unless the answer was an error.
    if (source?.readyState !== EventSource.CLOSED) return;
    close();
    timer = setTimeout(open, pause * (0.75 + Math.random() / 2));
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  });
  source.addEventListener("reset", () => tell("reset"));
  // We read too slowly and have lost some. The server closes; what is missing is loaded after the reconnection.
  source.addEventListener("dropped", () => {
    missed = true;
    lively(false);
  });
  for (const type of TYPES) {
    source.addEventListener(type, (message) => {
      try {
        tell(type, JSON.parse(message.data));
      } catch {
        // One damaged record is no reason to end the stream.
      }
    });
  }
}

let opened = false;
let hiding = null;

/** Listen for visibility and sign-in, and open the stream. */
export function start() {
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN);
    else if (!source) open();
  });
  window.addEventListener("online", () => live || open());
  // What a session may read, another one may not.
  news.addEventListener("signed", open);
  open();
}
