/**
 * Keeps a page current: asks for it again and again, and takes over where it differs.
 *
 * The server says everything, the times included; here nothing is known of what the page shows.
 */
(function (window, document) {
  "use strict";

  const current = document.getElementById("current");
  const interval = Number(current.dataset.interval);

  async function refresh() {
    if (document.hidden) return;
    try {
      // given up before the next, so that there is never more than one
      const answer = await window.fetch(window.location.href, { signal: AbortSignal.timeout(interval) });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      window.patch(current, page.getElementById("current"));
    } catch {
      document.getElementById("stale").hidden = false;
    }
  }

  window.setInterval(refresh, interval);
  document.addEventListener("visibilitychange", refresh);
})(window, document);
