/**
 * Keeps the page current: asks /update again and again, puts what is new on top, and edits what is there in its place.
 *
 *   poller ──▶ stream ──▶ row, patch     one request at a time; items in, rows out
 *      │          └─────▶ attention      pill, title of a hidden tab, what a screen reader says
 *      └──▶ indicator                    live, reconnecting, paused
 *   clock                                the server's time, never the browser's
 *
 * The server has drawn the page already. Everything here works on that markup: a row is a clone of the page's
 * <template>, so that rows of the server and of the script cannot drift apart. Titles, names and tags are strangers'
 * words and go in as text; only a summary, which the server has sanitised, goes in as HTML.
 */
(function ($, window, document) {
  "use strict";

  const SECOND = 1000;
  const MINUTE = 60 * SECOND;
  const HOUR = 60 * MINUTE;
  const DAY = 24 * HOUR;

  const LONGEST_PAUSE = MINUTE;
  const SOURCES_INTERVAL = MINUTE;
  const MOST_IDS = 100; // as many as one request may ask for
  const HIDDEN_FACTOR = 3; // a tab that nobody sees asks less often; the count in its title may lag a little
  const NEAR_TOP = 60; // pixels; who has scrolled further is reading, and must not be moved

  const feed = document.getElementById("feed");
  const settings = {
    interval: Number(feed.dataset.interval),
    filters: feed.dataset.filters,
    mostRows: Number(feed.dataset.most),
  };
  // An answer takes five seconds at most while the database is away; what takes this much longer hangs.
  const patience = settings.interval + 5 * SECOND;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  /** The server's time. A browser's clock may be hours off, and then everything would be "just now". */
  const clock = (function () {
    let ahead = 0;
    return {
      set(date) {
        const moment = Date.parse(date);
        if (!Number.isNaN(moment)) ahead = moment - Date.now();
      },
      now: () => Date.now() + ahead,
    };
  })();

  /** The same words as feedmirror/web/times.py. */
  function ago(moment) {
    const passed = clock.now() - moment;
    if (passed < MINUTE) return "just now";
    if (passed < HOUR) return Math.floor(passed / MINUTE) + " min ago";
    if (passed < DAY) return Math.floor(passed / HOUR) + " h ago";
    if (passed < 30 * DAY) return Math.floor(passed / DAY) + " d ago";
    return new Date(moment).toISOString().slice(0, 10);
  }

  /** The text of a sanitised summary on one line, as feedmirror/web/excerpt.py cuts it. */
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

  /** The same words as feedmirror/web/counts.py. */
  function counted(number, noun) {
    return number.toLocaleString("en-US") + " " + noun + (number === 1 ? "" : "s");
  }

  /** Makes the row of an item. */
  const row = (function () {
    const template = document.getElementById("row").content.querySelector("article");
    const names = JSON.parse(document.getElementById("names").textContent);

    function fillLink($link, href) {
      // whatever else a link may be, it is not shown as one: javascript: and data: run where they are clicked
      if (href && /^https?:\/\//i.test(href)) $link.attr("href", href);
      else $link.removeAttr("href");
    }

    /** One clone of `$pattern` for each value, in its place. */
    function repeat($pattern, values, fill) {
      values.forEach(function (value) {
        const $one = $pattern.clone();
        fill($one, value);
        $pattern.before($one, " ");
      });
      $pattern.remove();
    }

    function fillSummary($details, html) {
      if (!html) return $details.remove();
      $details.find(".excerpt").text(excerpt(html) || "…");
      return $details.find(".full").html(html);
    }

    function fillThumbnail($image, url) {
      // the page's policy refuses pictures that come in the clear
      if (url && /^https:\/\//i.test(url)) $image.attr("src", url);
      else $image.remove();
    }

    function fillCounts($counts, item) {
      const $score = $counts.find(".score");
      const $comments = $counts.find(".comments");
      if (item.score === null) $score.remove();
      else $score.text(counted(item.score, "vote"));
      if (item.comments === null) $comments.remove();
      else fillLink($comments.text(counted(item.comments, "comment")), item.comments_link);
      if (item.score === null && item.comments === null) $counts.remove();
    }

    function make(item) {
      const $row = $(template.cloneNode(true));
      $row.attr({
        "data-id": item._id,
        "data-fetched": item.fetched.toFixed(6),
        "data-changed": item.changed.toFixed(6),
        "aria-labelledby": "title-" + item._id,
      });
      const $time = $row.children("time").attr("datetime", item.arrived_at);
      const $title = $row.find("h2").attr("id", "title-" + item._id).find("a");
      $title.text(item.title || "Untitled");
      fillLink($title, item.link);
      fillThumbnail($row.find(".thumbnail"), item.thumbnail);
      repeat($row.find(".source"), item.sources, function ($source, id) {
        $source.text(names[id] || id).attr({ href: "/?source=" + encodeURIComponent(id), "data-source": id });
      });
      if (item.author) $row.find(".author").text(item.author);
      else $row.find(".author").remove();
      fillCounts($row.find(".counts"), item);
      repeat($row.find(".tags li"), item.tags, function ($tag, tag) {
        $tag.find("a").text(tag).attr("href", "/?tag=" + encodeURIComponent(tag));
      });
      if (!item.tags.length) $row.find(".tags").remove();
      fillSummary($row.find("details"), item.summary);
      tellTime($time[0]);
      return $row[0];
    }

    return {
      make,
      unnamed: (items) => items.flatMap((item) => item.sources).filter((id) => !(id in names)),
      addNames(others) {
        Object.assign(names, others);
        $(feed)
          .find(".source")
          .each(function () {
            const name = names[this.dataset.source] || this.dataset.source;
            if (this.textContent !== name) this.textContent = name;
          });
      },
    };
  })();

  /** A time says "2 min ago", and the reader's own date and time under the pointer. */
  function tellTime(time) {
    const moment = Date.parse(time.dateTime);
    const text = ago(moment);
    if (time.textContent !== text) time.textContent = text;
    if (!time.dataset.told) {
      time.title = new Date(moment).toLocaleString();
      time.dataset.told = "yes";
    }
  }

  function tellTimes() {
    feed.querySelectorAll(".row > time").forEach(tellTime);
  }

  /** Says that something is new, in the way that suits where the reader is. */
  const attention = (function () {
    const $pill = $("#pill");
    const $news = $("#news");
    const title = document.title;
    let unseen = 0; // while the tab is hidden
    let above = 0; // while the reader is further down

    function show() {
      document.title = unseen ? "(" + unseen + ") " + title : title;
      $pill.text(above + " new").prop("hidden", !above);
    }

    function isAway() {
      // who moves through the rows by keyboard is reading as well
      return window.scrollY > NEAR_TOP || Boolean(feed.querySelector(".row:focus-visible, .row :focus-visible"));
    }

    $pill.on("click", function () {
      feed.focus({ preventScroll: true });
      window.scrollTo({ top: 0, behavior: calm.matches ? "auto" : "smooth" });
      above = 0;
      show();
    });
    $(window).on("scroll", function () {
      if (above && window.scrollY <= NEAR_TOP) {
        above = 0;
        show();
      }
    });

    return {
      isAway,
      call(items) {
        if (document.hidden) unseen += items.length;
        if (isAway()) above += items.length;
        show();
        $news.text(items.length === 1 ? "New: " + items[0].title : counted(items.length, "new item"));
      },
      seen() {
        unseen = 0;
        show();
      },
      say: (text) => $news.text(text),
    };
  })();

  /** The rows of the page, newest first, each item once. */
  const stream = (function () {
    const known = new Map();
    const $older = $("#older");
    $(feed)
      .children(".row")
      .each(function () {
        known.set(this.dataset.id, this);
      });
    $(feed).on("animationend", (event) => event.target.classList.remove("fresh", "edited"));

    /** Let go of the oldest rows, unless the reader is down there; "Older" leads to them. */
    function dropOldest() {
      let last = feed.lastElementChild;
      const dropped = known.size > settings.mostRows && !isInReach(last);
      while (known.size > settings.mostRows && !isInReach(last)) {
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
      $older.attr("href", "/?" + [before, settings.filters].filter(Boolean).join("&")).prop("hidden", false);
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
      const changed = ["h2, .tags, .full", ".counts"].map((parts) => words(one, parts) !== words(wanted, parts));
      const focused = one.contains(document.activeElement);
      window.patch(one, wanted);
      // what had the focus is gone: the row is the nearest thing to it
      if (focused && !one.contains(document.activeElement)) one.focus({ preventScroll: true });
      if (changed[0]) mark(one);
      else if (changed[1]) $(one).find(".counts").each((_, counts) => mark(counts));
    }

    function words(one, parts) {
      return $(one).find(parts).text().replace(/\s+/g, "");
    }

    /** Show for a moment that this was edited; counts, which move all day, are not worth a whole row. */
    function mark(part) {
      part.classList.remove("edited");
      void part.offsetWidth; // begin anew
      part.classList.add("edited");
    }

    return {
      /** Take over these items: new ones are put in, edited ones drawn again. Returns the new ones, newest first. */
      take(items) {
        const fresh = items.filter((item) => !known.has(item._id) && isWithin(item));
        const edits = items.filter(isEdit);
        if (!fresh.length && !edits.length) return fresh;
        fresh.sort((one, other) => other.fetched - one.fetched); // they come in the order of their changes
        feed.setAttribute("aria-busy", "true");
        window.keepingPlace(attention.isAway() ? feed.children : [], function () {
          edits.forEach(redraw);
          insert(fresh);
        });
        feed.setAttribute("aria-busy", "false");
        if (fresh.length) dropOldest();
        return fresh;
      },
      leadToOlder,
    };
  })();

  /** The small line at the top: is this live? */
  const indicator = (function () {
    const $live = $("#live").prop("hidden", false);
    const $text = $live.find(".live-text");
    let state = "connecting";
    let checked = 0; // of the last success
    let due = 0; // of the next attempt

    function text() {
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

    function show() {
      $live.attr("data-state", state);
      $text.text(text());
    }

    function become(next) {
      if (next === state) return;
      if (next === "reconnecting") attention.say("Connection lost, reconnecting");
      if (next === "live" && state === "reconnecting") attention.say("Live again");
      state = next;
    }

    return {
      show,
      live() {
        become("live");
        checked = Date.now();
        show();
      },
      reconnecting(pause) {
        become("reconnecting");
        due = Date.now() + pause;
        show();
      },
      paused() {
        become("paused");
        show();
      },
      resumed() {
        become("connecting");
        show();
      },
    };
  })();

  /** Asks for news: one request at a time, for ever. */
  const poller = (function () {
    let cursor = feed.dataset.cursor; // the server's own text, handed back untouched
    let request = null;
    let timer = null;
    let failures = 0;
    let paused = false;
    // drawn while the database was away: what the first answer brings is the page itself, and no news
    let empty = Boolean($("#trouble").length);

    function address() {
      return "/update?" + ["timestamp=" + cursor, "changes=1", settings.filters].filter(Boolean).join("&");
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
      timer = window.setTimeout(() => ask(address()), pause);
    }

    function succeed(items, xhr) {
      const given = xhr.getResponseHeader("Feedmirror-Cursor");
      // something in between answered in the server's place
      if (!Array.isArray(items) || !/^\d+\.\d{6}$/.test(given)) return fail(xhr);
      const backwards = Number(cursor) === 0;
      request = null;
      failures = 0;
      clock.set(xhr.getResponseHeader("Date"));
      // Another web process may be a little behind: what it knows is no reason to ask for the same again.
      if (Number(given) > Number(cursor)) cursor = given;
      const fresh = stream.take(items);
      if (fresh.length && !empty) attention.call(fresh);
      const unnamed = row.unnamed(items);
      if (unnamed.length) askForSources(unnamed);
      if (empty) $("#trouble").remove();
      empty = false;
      indicator.live();
      return goOn(next(xhr), backwards);
    }

    function goOn(further, backwards) {
      if (further && !backwards) return ask(further);
      // without a cursor the answer holds the newest items, and leads back: that is for the reader to follow
      if (further) stream.leadToOlder();
      return askLater(settings.interval * (document.hidden ? HIDDEN_FACTOR : 1));
    }

    /** Where the answer says that there is more, if it does. */
    function next(xhr) {
      const link = /<(\/update\?[^>]*)>; *rel="?next"?/.exec(xhr.getResponseHeader("Link") || "");
      return link && link[1];
    }

    function fail(xhr) {
      request = null;
      failures += 1;
      const grown = Math.min(settings.interval * 2 ** (failures - 1), LONGEST_PAUSE);
      // jitter: after an outage, all the pages in the world must not come back in the same second
      const jittered = grown * (0.75 + Math.random() / 2);
      const asked = Number(xhr.getResponseHeader("Retry-After")) * SECOND || 0;
      const pause = Math.max(jittered, Math.min(asked, LONGEST_PAUSE));
      indicator.reconnecting(pause);
      askLater(pause);
    }

    return {
      now: () => ask(address()),
      toggle() {
        paused = !paused;
        if (paused) {
          stop();
          indicator.paused();
        } else {
          indicator.resumed();
          ask(address());
        }
        return paused;
      },
    };
  })();

  /** How many sources fail, and what these are called. */
  function askForSources(ids) {
    if (document.hidden) return;
    const asked = Array.from(new Set(ids)).slice(0, MOST_IDS);
    // there may be thousands of sources: of all others, only their number matters
    const query = asked.map((id) => "id=" + encodeURIComponent(id)).join("&") || "limit=1";
    $.ajax({ url: "/api/sources?" + query, dataType: "json", timeout: patience }).done(function (answer) {
      const { active, failing } = answer.counts;
      const verb = failing === 1 ? " is failing" : " are failing";
      row.addNames(Object.fromEntries(answer.sources.map((source) => [source.id, source.name])));
      $("#failing")
        .prop("hidden", !failing)
        .find("a")
        .text(failing.toLocaleString("en-US") + " of " + counted(active, "source") + verb);
    });
  }

  const $pause = $("#pause").prop("hidden", false);

  function togglePause() {
    $pause.attr("aria-pressed", String(poller.toggle()));
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

  function wake() {
    attention.seen();
    tellTimes();
    poller.now();
  }

  let lastTick = Date.now();
  function tick() {
    const slept = Date.now() - lastTick > MINUTE + 10 * SECOND; // more than a browser slows a hidden tab down
    lastTick = Date.now();
    indicator.show();
    tellTimes();
    if (slept) poller.now();
  }

  clock.set(feed.dataset.now);
  tellTimes();
  $pause.on("click", togglePause);
  $(document).on("keydown", onKey);
  $(document).on("visibilitychange", () => document.hidden || wake());
  $(window).on("online", () => poller.now());
  // a page that comes back from the browser's memory has the rows of then
  $(window).on("pageshow", (event) => event.originalEvent.persisted && wake());
  window.setInterval(tick, SECOND);
  window.setInterval(() => askForSources([]), SOURCES_INTERVAL);
  poller.now();
})(window.jQuery, window, document);
