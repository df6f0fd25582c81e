/**
 * Tells the reader what happens, in the way that suits where the reader is: the pill, the title of a hidden tab, what a
 * screen reader says, and the small line at the top.
 */
(function ($, window, document) {
  "use strict";

  const { counted } = window.words;

  const SECOND = 1000;
  const NEAR_TOP = 60; // pixels; who has scrolled further is reading, and must not be moved

  const feed = document.getElementById("feed");
  const $news = $("#news");

  function say(text) {
    $news.text(text);
  }

  // -- what is new

  const $pill = $("#pill");
  const title = document.title;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let unseen = 0; // while the tab is hidden
  let above = 0; // while the reader is further down

  function isAway() {
    // who moves through the rows by keyboard is reading as well
    return window.scrollY > NEAR_TOP || Boolean(feed.querySelector(".row:focus-visible, .row :focus-visible"));
  }

  /** These items have just been put on the page. */
  function tellOf(items) {
    if (document.hidden) unseen += items.length;
    if (isAway()) above += items.length;
    showNumbers();
    say(items.length === 1 ? "New: " + items[0].title : counted(items.length, "new item"));
  }

  function showNumbers() {
    document.title = unseen ? "(" + unseen + ") " + title : title;
    $pill.text(above + " new").prop("hidden", !above);
  }

  /** The tab is no longer hidden. */
  function seen() {
    unseen = 0;
    showNumbers();
  }

  function atTop() {
    above = 0;
    showNumbers();
  }

  $pill.on("click", function () {
    feed.focus({ preventScroll: true });
    window.scrollTo({ top: 0, behavior: calm.matches ? "auto" : "smooth" });
    atTop();
  });
  $(window).on("scroll", function () {
    if (above && window.scrollY <= NEAR_TOP) atTop();
  });

  // -- is this live?

  const $live = $("#live").prop("hidden", false);
  const $liveText = $live.find(".live-text");
  let state = "connecting";
  let checked = 0; // of the last success
  let due = 0; // of the next attempt

  function live() {
    checked = Date.now();
    become("live");
    window.beat();
  }

  function reconnecting(pause) {
    due = Date.now() + pause;
    become("reconnecting");
    window.beat();
  }

  function paused() {
    become("paused");
  }

  function resumed() {
    become("connecting");
  }

  function become(next) {
    if (next === "reconnecting" && state !== next) say("Connection lost, reconnecting");
    if (next === "live" && state === "reconnecting") say("Live again");
    state = next;
    showState();
  }

  /** Its seconds pass: to be called with each of them. */
  function showState() {
    $live.attr("data-state", state);
    $liveText.text(stateInWords());
  }

  function stateInWords() {
    const now = Date.now();
    const left = Math.max(0, Math.ceil((due - now) / SECOND));
    const passed = Math.floor((now - checked) / SECOND);
    switch (state) {
      case "live":
        return "Live, checked " + (passed < 1 ? "just now" : passed + " s ago");
      case "reconnecting":
        return "Reconnecting" + (left ? ", next try in " + left + " s" : "…");
      case "paused":
        return "Paused";
      default:
        return "Connecting…";
    }
  }

  window.reader = { isAway, tellOf, seen, live, reconnecting, paused, resumed, showState };
})(window.jQuery, window, document);
