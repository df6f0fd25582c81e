/**
 * Asks /update for news: one request at a time, for ever, and less often while there is no answer.
 *
 * Knows nothing of the page: what comes of a request is told to whoever began it all.
 */
(function ($, window, document) {
  "use strict";

  const SECOND = 1000;
  const LONGEST_PAUSE = 60 * SECOND;
  const UNAVAILABLE = 503;
  const HIDDEN_FACTOR = 3; // a tab that nobody sees asks less often; the count in its title may lag a little

  /**
   * Begins with `now`. `answered` is given the items, the server's date, what it says of polling, whether it is behind
   * what the page has already, and whether there are older ones that the reader may ask for; `failed`, after how many
   * milliseconds it is tried again, and whether that is because the database is away.
   */
  function poller({ cursor: first, filters, interval, patience }, { answered, failed }) {
    let cursor = first; // the server's own text, handed back untouched
    let request = null;
    let timer = null;
    let failures = 0;
    let paused = false;

    function now() {
      ask("/update?" + ["timestamp=" + cursor, "changes=1", filters].filter(Boolean).join("&"));
    }

    /** Ask now; what is still under way is given up, so that there is never more than one. */
    function ask(url) {
      stop();
      if (paused) return;
      // one that matches nothing keeps the browser from answering by itself with what it heard a second ago, which is
      // for caches that many pages share (Fetch standard, "HTTP-network-or-cache fetch")
      const mine = $.ajax({ url, dataType: "json", timeout: patience, headers: { "If-None-Match": '""' } });
      request = mine;
      mine
        .done((items, _, xhr) => request === mine && succeed(items, xhr))
        .fail((xhr) => request === mine && fail(xhr));
    }

    function stop() {
      const running = request;
      request = null;
      window.clearTimeout(timer);
      if (running) running.abort();
    }

    function askLater(pause) {
      timer = window.setTimeout(now, pause);
    }

    function succeed(items, xhr) {
      const given = xhr.getResponseHeader("Feedmirror-Cursor");
      // something in between answered in the server's place
      if (!Array.isArray(items) || !/^\d+\.\d{6}$/.test(given)) return fail(xhr);
      const further = next(xhr);
      // without a cursor the answer holds the newest items, and leads back: that is for the reader to follow
      const backwards = Number(cursor) === 0;
      request = null;
      failures = 0;
      // Another web process may be a little behind: what it knows is no reason to ask for the same again.
      const isBehind = Number(xhr.getResponseHeader("Feedmirror-Head")) < Number(cursor);
      if (Number(given) > Number(cursor)) cursor = given;
      answered(items, {
        date: xhr.getResponseHeader("Date"),
        polling: xhr.getResponseHeader("Feedmirror-Polling"),
        isBehind,
        hasOlder: Boolean(further) && backwards,
      });
      if (further && !backwards) return ask(further);
      return askLater(interval * (document.hidden ? HIDDEN_FACTOR : 1));
    }

    /** Where the answer says that there is more, if it does. */
    function next(xhr) {
      const link = /<(\/update\?[^>]*)>; *rel="?next"?/.exec(xhr.getResponseHeader("Link") || "");
      return link && link[1];
    }

    function fail(xhr) {
      request = null;
      failures += 1;
      const grown = Math.min(interval * 2 ** (failures - 1), LONGEST_PAUSE);
      // jitter: after an outage, all the pages in the world must not come back in the same second
      const jittered = grown * (0.75 + Math.random() / 2);
      const asked = Number(xhr.getResponseHeader("Retry-After")) * SECOND || 0;
      const pause = Math.max(jittered, Math.min(asked, LONGEST_PAUSE));
      // the server's own refusal; that of a proxy, or of a server with too much to do, is no JSON
      failed(pause, { isAway: xhr.status === UNAVAILABLE && Boolean(xhr.responseJSON) });
      askLater(pause);
    }

    function pause() {
      paused = true;
      stop();
    }

    function resume() {
      paused = false;
      now();
    }

    return { now, pause, resume };
  }

  window.poller = poller;
})(window.jQuery, window, document);
