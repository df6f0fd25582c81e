/**
 * Keeps a table current: asks again and again what changed, and takes over what the server draws then.
 *
 *   poll ──▶ something changed ──▶ redraw ──▶ standing, rows
 *                 (and now and then without: times pass, and runs begin)
 *
 * Rows keep their elements, whatever place they move to, and a cell whose number rises or falls shows it for a moment.
 * How a number or a date is shown the server says alone, to the last digit; here nothing is known of it.
 */
(function (window, document) {
  "use strict";

  const { states } = window.words;

  const SECOND = 1000;
  const UNAVAILABLE = 503;
  const REDRAWN_AT_LEAST = 30 * SECOND;
  const LONGEST_PAUSE = 60 * SECOND;

  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const live = document.getElementById("live");
  const liveText = live.querySelector(".live-text");
  const interval = Number(table.dataset.interval);
  const path = table.dataset.path;

  let cursor = table.dataset.cursor; // as text: it goes back as it came
  let listing = table.dataset.listing; // which rows the API lists, and in which order
  let redrawn = Date.now();
  let failures = 0;
  let timer = 0;
  let isAsking = false;
  let isStalled = false;

  class Refused extends Error {
    constructor(status) {
      super("answered " + status);
      this.status = status;
    }
  }

  /** What changed since the cursor: whether anything did. */
  async function poll() {
    const answer = await ask(path + "/update?timestamp=" + cursor + "&limit=1", {
      headers: { "If-None-Match": '""' }, // never what the browser heard a second ago
    });
    isStalled = window.stalled(answer.headers.get("Feedmirror-Polling"));
    const rows = await answer.json();
    if (!rows.length) cursor = answer.headers.get("Feedmirror-Cursor") || cursor;
    return rows.length > 0 || answer.headers.get("Feedmirror-Listing") !== listing;
  }

  async function ask(address, options) {
    const answer = await window.fetch(address, { signal: AbortSignal.timeout(interval + 10 * SECOND), ...options });
    if (!answer.ok) throw new Refused(answer.status);
    return answer;
  }

  /** Draw what the server draws now. */
  async function redraw() {
    const answer = await ask(window.location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const wanted = page.getElementById("table");
    for (const id of ["standing", "empty", "further"]) {
      window.patch(document.getElementById(id), page.getElementById(id));
    }
    window.patch(table.tHead, wanted.tHead);
    // who has not scrolled sees what comes on top
    window.keepingPlace(window.scrollY > 0 ? body.rows : [], () => takeOver(wanted.tBodies[0]));
    cursor = wanted.dataset.cursor;
    listing = wanted.dataset.listing;
    redrawn = Date.now();
  }

  // -- rows

  function takeOver(wanted) {
    const known = new Map(Array.from(body.rows, (row) => [row.id, row]));
    const focused = document.activeElement;
    let place = body.rows[0] || null;
    for (const row of Array.from(wanted.rows)) {
      const mine = known.get(row.id) || row;
      known.delete(row.id);
      if (mine === row) mark(row, "new");
      else update(mine, row);
      if (mine === place) place = place.nextElementSibling;
      else body.insertBefore(mine, place);
    }
    known.forEach((row) => row.remove());
    // an element that is moved loses the focus
    if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
  }

  /** Draw a row anew, and show which of its cells say something else. */
  function update(row, wanted) {
    const before = Array.from(row.cells, said);
    window.patch(row, wanted);
    if (row.cells.length !== before.length) return;
    before.forEach(function (was, number) {
      const cell = row.cells[number];
      const is = said(cell);
      if (was.text === is.text || cell.querySelector("time")) return;
      if (was.number === null || is.number === null) mark(cell, "other");
      else mark(cell, Number(is.number) < Number(was.number) ? "down" : "up");
    });
  }

  /** What a cell says to a reader, without the picture of what it was, and the number that it is. */
  function said(cell) {
    const text = Array.from(cell.childNodes).filter((node) => node.nodeName !== "svg");
    return { number: cell.dataset.number || null, text: text.map((node) => node.textContent).join("") };
  }

  function mark(element, how) {
    element.dataset.moved = how;
  }

  body.addEventListener("animationend", function (event) {
    const marked = event.target.closest("[data-moved]");
    if (marked) delete marked.dataset.moved;
  });

  // -- again and again

  function say(state) {
    live.hidden = false;
    live.dataset.state = state;
    if (liveText.textContent !== states[state]) liveText.textContent = states[state];
    window.beat();
  }

  async function turn() {
    if (isAsking) return;
    isAsking = true;
    window.clearTimeout(timer);
    try {
      if ((await poll()) || Date.now() - redrawn >= REDRAWN_AT_LEAST) await redraw();
      failures = 0;
      say(isStalled ? "stalled" : "live");
    } catch (error) {
      failures += 1;
      window.stalled(null);
      say(unreached(error));
    }
    isAsking = false;
    const pause = Math.min(interval * 2 ** Math.max(0, failures - 1), LONGEST_PAUSE);
    // a tab that nobody sees asks when it is seen again
    if (!document.hidden) timer = window.setTimeout(turn, pause);
  }

  /** The state of a page whose question was not answered. */
  function unreached(error) {
    if (error instanceof Refused && error.status === UNAVAILABLE) return "away";
    return navigator.onLine ? "reconnecting" : "offline";
  }

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) turn();
  });
  window.addEventListener("online", turn);
  turn();
})(window, document);
