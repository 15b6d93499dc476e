// A modal dialog with a form.
import { wantSignIn } from "../api.js";
import { button, el, plain } from "../dom.js";

/** Close all dialogs: the view that opened them is left. */
export const closeDialogs = () => document.querySelectorAll("dialog").forEach((one) => one.close());

let dialogs = 0;

/** A modal dialog with a form. `submit(signal)` does the work; a sentence that it throws is shown, and the dialog
 * stays; else it closes, and its result is what the promise gives (undefined if cancelled). */
export function dialog({ title, content, does, submit, dangerous = false }) {
  // One dialog may open another.
  const name = `dialog-${(dialogs += 1)}`;
  return new Promise((done) => {
    const ending = new AbortController();
    let result;
    const trouble = el("div", { class: "trouble", role: "alert" });
    const go = does && el("button", { type: "submit", class: dangerous ? "danger" : "primary" }, does);
    const box = el("dialog", {
      "aria-labelledby": name,
      on: {
        close: () => {
          ending.abort();
          box.remove();
          // The button that opened it may be gone, since the view was drawn anew meanwhile.
          if (document.activeElement === document.body)
            document.querySelector("h1")?.focus({ preventScroll: true });
          done(result);
        },
      },
    });

    async function work(event) {
      event.preventDefault();
      if (!go || go.disabled) return;
      go.disabled = true;
      trouble.replaceChildren();
      try {
        result = await submit(ending.signal);
        box.close();
      } catch (error) {
        if (ending.signal.aborted) return;
        trouble.replaceChildren(
          el("p", {}, el("strong", {}, "Not done: "), plain(error.message)),
          error.cure ? el("p", { class: "hint" }, error.cure) : "",
        );
        if (error.status === 401) trouble.append(button("Sign in", wantSignIn));
      } finally {
        go.disabled = false;
      }
    }
    box.append(
      el(
        "form",
        { on: { submit: work } },
        el("h2", { id: name }, title),
        content,
        trouble,
        el(
          "div",
          { class: "buttons" },
          button(does ? "Cancel" : "Close", () => box.close()),
          go,
        ),
      ),
    );
    document.body.append(box);
    box.showModal();
  });
}
