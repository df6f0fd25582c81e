/**
 * Asks for series, has them fetched anew, and removes them: what a page cannot send without a script, JSON.
 *
 * What comes of it the server says, in words and in the page that is asked for next.
 */
(function (window, document) {
  "use strict";

  const ANOTHER_TRY = 3 * 1000;

  const problem = document.getElementById("problem");

  /** Send it; the answer, or null where that is a refusal, which is shown. */
  async function send(method, address, body) {
    say("");
    try {
      const answer = await window.fetch(address, {
        method: method,
        headers: { "Content-Type": "application/json" },
        body: body && JSON.stringify(body),
      });
      if (answer.ok) return answer.status === 204 ? {} : await answer.json();
      const refusal = await answer.json();
      say(refusal.error, refusal.field);
    } catch {
      say("There is no answer. Is Feedmirror running?");
    }
    return null;
  }

  function say(text, field) {
    problem.textContent = text && text.charAt(0).toUpperCase() + text.slice(1);
    problem.hidden = !text;
    document.querySelectorAll("#ask input").forEach(function (input) {
      input.setAttribute("aria-invalid", String(input.name === field));
      if (input.name === field) input.focus();
    });
  }

  /** Have something done that takes a moment; its buttons wait meanwhile. */
  async function doing(within, work) {
    const buttons = Array.from(within.querySelectorAll("button"));
    buttons.forEach((button) => (button.disabled = true));
    await work();
    buttons.forEach((button) => (button.disabled = false));
  }

  // -- the list

  const form = document.getElementById("ask");
  if (form) {
    form.hidden = false;
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      doing(form, async function () {
        const codes = { database_code: form.database_code.value.trim(), dataset_code: form.dataset_code.value.trim() };
        const series = await send("POST", "/timeseries", codes);
        if (series) window.location.assign("/series/" + series.id);
      });
    });
  }

  // -- one of them

  /** A chart that does not come, as where others are being drawn, is asked for once more. */
  function again(image) {
    window.setTimeout(() => (image.src = image.getAttribute("src")), ANOTHER_TRY);
  }

  function isMissing(image) {
    return image && image.id === "chart" && image.complete && !image.naturalWidth;
  }

  // errors of pictures do not bubble, and one may be older than this script
  document.addEventListener("error", (event) => isMissing(event.target) && again(event.target), true);
  if (isMissing(document.getElementById("chart"))) again(document.getElementById("chart"));

  const actions = document.getElementById("actions");
  if (actions) {
    const { id, database, dataset } = actions.dataset;
    actions.hidden = false;
    document.getElementById("anew").addEventListener("click", function () {
      doing(actions, async function () {
        const wanted = { database_code: database, dataset_code: dataset, refresh: true };
        if (await send("POST", "/timeseries", wanted)) await window.refresh();
      });
    });
    document.getElementById("remove").addEventListener("click", function () {
      if (!window.confirm("Remove " + database + "/" + dataset + " and its data?")) return;
      doing(actions, async function () {
        await window.rest(); // what is being removed is not there to be asked for
        if (await send("DELETE", "/timeseries?id=" + encodeURIComponent(id))) window.location.assign("/series");
        else window.refresh();
      });
    });
  }
})(window, document);
