// Who may act: the dialog to sign in, what to do without a token, and the note of what was done.
import { ApiError, session, signIn } from "./api.js";
import { button, el, field } from "./dom.js";
import { dialog } from "./parts/dialog.js";

/** Say what was done, in sight and to screen readers, until the next view. */
export function notice(...content) {
  document
    .getElementById("notice")
    .replaceChildren(
      ...content.flat(),
      content.length ? button("Dismiss", () => notice(), { class: "small" }) : "",
    );
}

/** What one can do without a token. */
function howToSignIn() {
  return [
    el("p", {}, "This page only reads: the service has no tokens, so nobody can sign in."),
    el(
      "p",
      {},
      "To act from here, write a token into a file, name the file in the variable ",
      el("code", {}, "ZMBAN_TOKEN_FILE"),
      " of the service, and restart it. See ",
      el("code", {}, "docs/page.md"),
      ".",
    ),
    el(
      "p",
      {},
      "Without it, use the commands on the host: ",
      el("code", {}, "zmban ban"),
      ", ",
      el("code", {}, "zmban unban"),
      ", ",
      el("code", {}, "zmban allow"),
      ".",
    ),
  ];
}

/** Ask for a token, unless a dialog does so already. Gives whether somebody is signed in afterwards. */
export async function askSignIn() {
  if (document.getElementById("token")) return false;
  if (!session.tokens) {
    await dialog({ title: "Read only", content: howToSignIn() });
    return false;
  }
  const input = el("input", {
    id: "token",
    type: "password",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
    autofocus: true,
  });
  const name = await dialog({
    title: "Sign in",
    does: "Sign in",
    content: [
      field(
        "Token",
        input,
        "A token of the file that ZMBAN_TOKEN_FILE names (docs/page.md). You stay signed in until you sign out, or until you do nothing for some hours.",
      ),
    ],
    submit: async () => {
      try {
        return (await signIn(input.value)).name ?? "";
      } catch (error) {
        if (error.status === 401) throw new ApiError(400, "The service does not know this token.");
        throw error;
      }
    },
  });
  return name !== undefined;
}

/** Buttons for somebody who is signed in; for others, how to sign in. A view is drawn anew when that changes. */
export function acting(...buttons) {
  const how = session.tokens ? "Sign in to act" : "Read only: how to act";
  return el(
    "div",
    { class: "acting" },
    session.can_act ? buttons : button(how, askSignIn, { class: "small", "data-key": "act" }),
  );
}
