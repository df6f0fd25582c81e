/**
 * Says times, counts and summaries in the words of feedmirror/web: of times.py, counts.py and excerpt.py; and the states
 * of a page.
 */
(function (window) {
  "use strict";

  const MINUTE = 60 * 1000;
  const HOUR = 60 * MINUTE;
  const DAY = 24 * HOUR;

  function ago(moment, now) {
    const passed = now - moment;
    if (passed < MINUTE) return "just now";
    if (passed < HOUR) return Math.floor(passed / MINUTE) + " min ago";
    if (passed < DAY) return Math.floor(passed / HOUR) + " h ago";
    if (passed < 30 * DAY) return Math.floor(passed / DAY) + " d ago";
    return new Date(moment).toISOString().slice(0, 10);
  }

  function counted(number, noun) {
    return number.toLocaleString("en-US") + " " + noun + (number === 1 ? "" : "s");
  }

  /** The text of a sanitised summary on one line. */
  function excerpt(html) {
    const spaced = html.replace(
      /<br>|<\/(?:p|div|li|ul|ol|h[1-6]|pre|blockquote|tr|td|th|table|dt|dd|figure|figcaption)>/gi,
      " $&",
    );
    // a document of its own: nothing in it is loaded or run
    const text = new DOMParser().parseFromString(spaced, "text/html").body.textContent;
    const letters = Array.from(text.trim().replace(/\s+/g, " ")); // whole characters, no halves of an emoji
    return letters.length <= 400 ? letters.join("") : letters.slice(0, 400).join("").trimEnd() + "…";
  }

  /** Whether a page is current, by the names that its styles know. */
  const states = {
    connecting: "Connecting…",
    live: "Live",
    stalled: "Nothing is polled",
    behind: "Behind",
    away: "Database away",
    reconnecting: "Reconnecting…",
    offline: "Offline",
    paused: "Paused",
  };

  window.words = { ago, counted, excerpt, states };
})(window);
