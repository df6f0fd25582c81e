/**
 * Tells the reader what happens, in the way that suits where the reader is: the pill, the title of a hidden tab, what a
 * screen reader says, and the small line at the top.
 */
(function ($, window, document) {
  "use strict";

  const { counted, states } = window.words;

  const SECOND = 1000;
  // A server is three seconds behind at most, or asks the database: one that is longer has lost its way.
  const PATIENCE = 4 * SECOND;
  // A hidden page asks every quarter of a minute, and gives an answer up after ten seconds: what was checked before
  // that, as before the machine slept, is not current.
  const CURRENT = 30 * SECOND;
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
  let behindSince = 0; // 0: the last answer was not

  /** An answer came. */
  function checkedNow({ isStalled, isBehind }) {
    checked = Date.now();
    behindSince = isBehind ? behindSince || checked : 0;
    if (isStalled) become("stalled");
    else become(behindSince && checked - behindSince > PATIENCE ? "behind" : "live");
    window.beat();
  }

  /** None came, and the next attempt is after this pause. */
  function unanswered(pause, { isAway }) {
    due = Date.now() + pause;
    if (isAway) become("away");
    else become(navigator.onLine ? "reconnecting" : "offline");
    window.beat();
  }

  function paused() {
    become("paused");
  }

  function resumed() {
    become("connecting");
  }

  const TROUBLES = new Set(["stalled", "behind", "away", "reconnecting", "offline"]);

  function become(next) {
    if (TROUBLES.has(next) && state !== next) say(next === "reconnecting" ? "Connection lost, reconnecting" : states[next]);
    if (next === "live" && TROUBLES.has(state)) say("Live again");
    state = next;
    showState();
  }

  /** Its seconds pass: to be called with each of them. */
  function showState() {
    const shown = state === "live" && Date.now() - checked > CURRENT ? "connecting" : state;
    $live.attr("data-state", shown);
    $liveText.text(inWords(shown));
  }

  function inWords(shown) {
    const now = Date.now();
    const left = Math.max(0, Math.ceil((due - now) / SECOND));
    const passed = Math.floor((now - checked) / SECOND);
    switch (shown) {
      case "live":
        return states.live + ", checked " + (passed < 1 ? "just now" : passed + " s ago");
      case "away":
      case "reconnecting":
        return left ? states[shown].replace("…", "") + ", next try in " + left + " s" : states[shown];
      default:
        return states[shown];
    }
  }

  window.reader = { isAway, tellOf, seen, checkedNow, unanswered, paused, resumed, showState };
})(window.jQuery, window, document);
