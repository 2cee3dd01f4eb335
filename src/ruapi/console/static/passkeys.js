// Passkeys: a form, or one button of it, with data-passkey asks the authenticator first and carries its answer.
//   data-passkey="get" | "create"   what is asked
//   data-passkey-options="/path"    where the question is fetched (POST with the form's CSRF token)
//   data-passkey-with="name"        a field of the form that the question is made of
//   data-passkey-field="name"       the hidden field that takes the answer, "answer" without
// The form has that hidden field, a [data-passkey-error] for what went wrong, and is hidden until the browser
// is known to have passkeys (data-needs-passkeys). Without this script it never shows.
"use strict";
(() => {
  const able =
    window.PublicKeyCredential &&
    PublicKeyCredential.parseRequestOptionsFromJSON &&
    PublicKeyCredential.parseCreationOptionsFromJSON;
  for (const element of document.querySelectorAll("[data-needs-passkeys]")) element.hidden = !able;
  for (const element of document.querySelectorAll("[data-without-passkeys]")) element.hidden = Boolean(able);
  if (!able) return;

  // "asker" is the form, or the button, that has the data attributes.
  const ask = async (asker, form) => {
    const { passkeyOptions, passkeyWith } = asker.dataset;
    const response = await fetch(passkeyOptions, {
      method: "POST",
      headers: { "x-csrf-token": form.elements.csrf.value },
      body: passkeyWith ? new URLSearchParams([[passkeyWith, form.elements[passkeyWith].value]]) : null,
    });
    if (!response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const said = page.querySelector("main p:not(.meta)");
      throw new Error(said ? said.textContent : "The server refused. Load the page and try again.");
    }
    const options = await response.json();
    return asker.dataset.passkey === "create"
      ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
      : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  };

  const words = (error) => {
    if (error.name === "NotAllowedError") return "Nothing was chosen, or it took too long. Try again.";
    if (error.name === "InvalidStateError") return "This device has a passkey for this account already.";
    if (error.name === "SecurityError") return "This address cannot have passkeys. Open the console by its base URL.";
    return error.message;
  };

  for (const asker of document.querySelectorAll("[data-passkey]")) {
    const form = asker instanceof HTMLFormElement ? asker : asker.form;
    const answer = form.elements[asker.dataset.passkeyField || "answer"];
    asker.addEventListener(asker === form ? "submit" : "click", async (event) => {
      if (answer.value && asker === form) return;
      event.preventDefault();
      const problem = form.querySelector("[data-passkey-error]");
      problem.hidden = true;
      try {
        answer.value = JSON.stringify(await ask(asker, form));
        // Not form.submit(): a field of a carried form may have that name.
        if (asker === form) HTMLFormElement.prototype.submit.call(form);
        else HTMLFormElement.prototype.requestSubmit.call(form, asker);
      } catch (error) {
        problem.textContent = words(error);
        problem.hidden = false;
      }
    });
  }
})();
