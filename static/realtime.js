/**
 * Keeps the page current: asks /update again and again, puts what is new on top, and edits what is there in its place.
 *
 *   poller ──▶ stream ──▶ row, patch     one request at a time; items in, rows out
 *      │          └─────▶ reader         pill, title of a hidden tab, what a screen reader says
 *      ├────────────────▶ reader         live, or why not
 *      └────────────────▶ notices        sources that are overdue or fail, and mistakes in their file
 *
 * Each of these is a script that does not know where its data comes from; here they are put together. The server has
 * drawn the page already, and everything works on that markup.
 *
 * They are plain scripts, loaded in the order of their needs, that leave what they offer on `window`. Modules would not
 * do: one asks for others by addresses without the digests that let them be kept for ever, and the import map that could
 * add these would be an inline script, which the page's policy refuses.
 */
(function ($, window, document) {
  "use strict";

  const { notices, reader, row, stream } = window;

  const SECOND = 1000;
  const MINUTE = 60 * SECOND;
  const SOURCES_INTERVAL = MINUTE;
  const PRESSING_INTERVAL = 10 * SECOND; // while some of them are overdue, which passes as soon as they are polled
  const MOST_IDS = 100; // as many as one request may ask for

  const feed = document.getElementById("feed");
  const interval = Number(feed.dataset.interval);
  // An answer takes five seconds at most while the database is away; what takes this much longer hangs.
  const patience = interval + 5 * SECOND;

  // -- what is new

  const { cursor, filters } = feed.dataset;
  const poller = window.poller({ cursor, filters, interval, patience }, { answered, failed });
  let wasStalled = !document.getElementById("stalled").hidden;

  function answered(items, { date, hasOlder, polling, isBehind }) {
    row.setClock(date);
    const fresh = stream.take(items, reader.isAway());
    if (hasOlder) stream.leadToOlder();
    // drawn while the database was away: what the first answer brings is the page itself, and no news
    const recovered = $("#trouble").remove().length > 0;
    if (fresh.length && !recovered) reader.tellOf(fresh);
    const unnamed = row.unnamed(items);
    if (unnamed.length) askForSources(unnamed);
    const isStalled = window.stalled(polling);
    if (isStalled !== wasStalled) askForSources([]);
    wasStalled = isStalled;
    reader.checkedNow({ isStalled, isBehind });
  }

  function failed(pause, why) {
    window.stalled(null); // not known any more
    reader.unanswered(pause, why);
  }

  /** How all sources fare, and what these are called. */
  function askForSources(ids) {
    if (document.hidden) return;
    const asked = Array.from(new Set(ids)).slice(0, MOST_IDS);
    // there may be thousands of sources: of all others, only their number matters
    const query = asked.map((id) => "id=" + encodeURIComponent(id)).join("&") || "limit=1";
    $.ajax({ url: "/api/sources?" + query, dataType: "json", timeout: patience }).done(function (answer) {
      row.addNames(Object.fromEntries(answer.sources.map((source) => [source.id, source.name])));
      notices.show(answer);
    });
  }

  // -- what the reader does

  const $pause = $("#pause").prop("hidden", false);
  let paused = false;

  function togglePause() {
    paused = !paused;
    $pause.attr("aria-pressed", String(paused));
    if (paused) {
      poller.pause();
      reader.paused();
    } else {
      reader.resumed();
      poller.resume();
    }
  }

  function moveBetweenRows(step) {
    const current = document.activeElement && document.activeElement.closest(".row");
    const neighbour = step > 0 ? "nextElementSibling" : "previousElementSibling";
    const target = current ? current[neighbour] : feed.firstElementChild;
    if (target) target.focus();
  }

  const keys = {
    p: togglePause,
    j: () => moveBetweenRows(1),
    k: () => moveBetweenRows(-1),
    "/": () => document.getElementById("search").focus(),
  };

  function onKey(event) {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    const action = keys[event.key];
    if (typing || !action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  // -- time passes

  let lastTick = Date.now();

  function tick() {
    const slept = Date.now() - lastTick > MINUTE + 10 * SECOND; // more than a browser slows a hidden tab down
    lastTick = Date.now();
    reader.showState();
    row.tellTimes();
    if (slept) poller.now();
  }

  function wake() {
    reader.seen();
    row.tellTimes();
    poller.now();
  }

  // -- it begins

  $pause.on("click", togglePause);
  $(document).on("keydown", onKey);
  $(document).on("visibilitychange", () => document.hidden || wake());
  $(window).on("online", () => poller.now());
  // a page that comes back from the browser's memory has the rows of then
  $(window).on("pageshow", (event) => event.originalEvent.persisted && wake());
  window.setInterval(tick, SECOND);
  window.setInterval(() => askForSources([]), SOURCES_INTERVAL);
  window.setInterval(() => notices.isPressing() && askForSources([]), PRESSING_INTERVAL);
  row.setClock(feed.dataset.now);
  row.tellTimes();
  poller.now();
})(window.jQuery, window, document);
