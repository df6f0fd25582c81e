/**
 * Puts rows where they belong: newest first, each item once, and no more of them than the page should hold.
 *
 * What the reader has before them stays as it is, as far as it can: an edited row is changed and not replaced.
 */
(function ($, window, document) {
  "use strict";

  const { keepingPlace, patch, row } = window;

  const feed = document.getElementById("feed");
  const mostRows = Number(feed.dataset.most);
  const known = new Map(Array.from(feed.children, (one) => [one.dataset.id, one]));
  const $older = $("#older");

  /**
   * Take over these items: new ones are put in, edited ones drawn again. Returns the new ones, newest first.
   *
   * Where the reader is away from the top, what is in view stays where it stands.
   */
  function take(items, isAway) {
    const fresh = items.filter((item) => !known.has(item._id) && isWithin(item));
    const edits = items.filter(isEdit);
    if (!fresh.length && !edits.length) return fresh;
    fresh.sort((one, other) => other.fetched - one.fetched); // they come in the order of their changes
    feed.setAttribute("aria-busy", "true");
    keepingPlace(isAway ? feed.children : [], function () {
      edits.forEach(redraw);
      insert(fresh);
    });
    feed.setAttribute("aria-busy", "false");
    if (fresh.length) dropOldest();
    return fresh;
  }

  /**
   * Whether an item that has no row belongs on this page: what is older than its last row is left to "Older".
   *
   * The cursor would not do. An item that came before it, and was edited while an answer was being made, is given
   * for the first time after it.
   */
  function isWithin(item) {
    const last = feed.lastElementChild;
    return $older.prop("hidden") || !last || item.fetched > Number(last.dataset.fetched);
  }

  function isEdit(item) {
    const one = known.get(item._id);
    return one && item.changed > Number(one.dataset.changed);
  }

  /** Put these items, newest first, where they belong: nearly always on top. */
  function insert(items) {
    let below = feed.firstElementChild;
    items.forEach(function (item) {
      while (below && Number(below.dataset.fetched) > item.fetched) below = below.nextElementSibling;
      const one = row.make(item);
      one.classList.add("fresh");
      known.set(item._id, one);
      feed.insertBefore(one, below);
    });
  }

  /** Draw the item again without taking from the reader what is being read, unfolded or pointed at. */
  function redraw(item) {
    const one = known.get(item._id);
    const wanted = row.make(item);
    const changed = ["h2, .tags, .full", ".counts"].map((parts) => said(one, parts) !== said(wanted, parts));
    const focused = one.contains(document.activeElement);
    patch(one, wanted);
    // what had the focus is gone: the row is the nearest thing to it
    if (focused && !one.contains(document.activeElement)) one.focus({ preventScroll: true });
    if (changed[0]) mark(one);
    else if (changed[1]) $(one).find(".counts").each((_, counts) => mark(counts));
  }

  function said(one, parts) {
    return $(one).find(parts).text().replace(/\s+/g, "");
  }

  /** Show for a moment that this was edited; counts, which move all day, are not worth a whole row. */
  function mark(part) {
    part.classList.remove("edited");
    void part.offsetWidth; // begin anew
    part.classList.add("edited");
  }

  $(feed).on("animationend", (event) => event.target.classList.remove("fresh", "edited"));

  // -- the end of the page

  /** Let go of the oldest rows, unless the reader is down there; "Older" leads to them. */
  function dropOldest() {
    let last = feed.lastElementChild;
    const dropped = known.size > mostRows && !isInReach(last);
    while (known.size > mostRows && !isInReach(last)) {
      known.delete(last.dataset.id);
      last.remove();
      last = feed.lastElementChild;
    }
    if (dropped) leadToOlder();
  }

  function isInReach(one) {
    return one.getBoundingClientRect().top < 2 * window.innerHeight;
  }

  function leadToOlder() {
    const before = "before=" + feed.lastElementChild.dataset.fetched;
    $older.attr("href", "/?" + [before, feed.dataset.filters].filter(Boolean).join("&")).prop("hidden", false);
  }

  window.stream = { take, leadToOlder };
})(window.jQuery, window, document);
