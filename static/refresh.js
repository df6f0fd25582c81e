/**
 * Keeps a page current: asks for it again and again, and takes over where it differs.
 *
 * The server says everything, the times included, and how soon to ask again; here nothing is known of what the page
 * shows.
 */
(function (window, document) {
  "use strict";

  const NOT_FOUND = 404;
  const SHORTEST_PATIENCE = 10 * 1000;

  const current = document.getElementById("current");
  const stale = document.getElementById("stale");
  let timer = 0;
  let asking = null; // there is never more than one
  let resting = false;

  function refresh() {
    asking = asking || ask().finally(() => (asking = null));
    return asking;
  }

  async function ask() {
    window.clearTimeout(timer);
    try {
      const patience = Math.max(interval(), SHORTEST_PATIENCE);
      const answer = await window.fetch(window.location.href, { signal: AbortSignal.timeout(patience) });
      if (answer.status === NOT_FOUND) return say("This is no longer there.");
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      window.patch(current, page.getElementById("current"));
    } catch {
      stale.hidden = false;
    }
    plan();
  }

  function interval() {
    return Number(current.dataset.interval);
  }

  /** A page that nobody sees asks when it is seen again. */
  function plan() {
    window.clearTimeout(timer);
    if (!document.hidden && !resting) timer = window.setTimeout(refresh, interval());
  }

  function say(text) {
    stale.textContent = text;
    stale.hidden = false;
  }

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden && !resting) refresh();
  });
  plan();

  /** Ask from now on; gives a promise that holds when the page is as current as that. */
  window.refresh = function () {
    resting = false;
    return asking ? asking.then(refresh) : refresh();
  };

  /** Ask no more, until told to; gives a promise that holds when no question is under way. */
  window.rest = function () {
    resting = true;
    window.clearTimeout(timer);
    return Promise.resolve(asking);
  };
})(window, document);
