/**
 * Draws items: makes the row of one, and keeps true what rows say of times and of the names of sources.
 *
 * A row is a clone of the page's <template>, so that rows of the server and of the script cannot drift apart. Titles,
 * names and tags are strangers' words and go in as text; only a summary, which the server has sanitised, goes in as
 * HTML.
 */
(function ($, window, document) {
  "use strict";

  const { ago, counted, excerpt } = window.words;

  const template = document.getElementById("row").content.querySelector("article");
  const names = JSON.parse(document.getElementById("names").textContent);

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

  function fillLink($link, href) {
    // whatever else a link may be, it is not shown as one: javascript: and data: run where they are clicked
    if (href && /^https?:\/\//i.test(href)) $link.attr("href", href);
    else $link.removeAttr("href");
  }

  function fillThumbnail($image, url) {
    // the page's policy refuses pictures that come in the clear
    if (url && /^https:\/\//i.test(url)) $image.attr("src", url);
    else $image.remove();
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

  function fillCounts($counts, item) {
    const $score = $counts.find(".score");
    const $comments = $counts.find(".comments");
    if (item.score === null) $score.remove();
    else $score.text(counted(item.score, "vote"));
    if (item.comments === null) $comments.remove();
    else fillLink($comments.text(counted(item.comments, "comment")), item.comments_link);
    if (item.score === null && item.comments === null) $counts.remove();
  }

  function fillSummary($details, html) {
    if (!html) return $details.remove();
    $details.find(".excerpt").text(excerpt(html) || "…");
    return $details.find(".full").html(html);
  }

  // -- times

  // A browser's clock may be hours off, and then everything would be "just now".
  let serverIsAhead = 0;

  /** Go by the server's clock from now on, which is at this date. */
  function setClock(date) {
    const moment = Date.parse(date);
    if (!Number.isNaN(moment)) serverIsAhead = moment - Date.now();
  }

  /** A time says "2 min ago", and the reader's own date and time under the pointer. */
  function tellTime(time) {
    const moment = Date.parse(time.dateTime);
    const text = ago(moment, Date.now() + serverIsAhead);
    if (time.textContent !== text) time.textContent = text;
    if (!time.dataset.told) {
      time.title = new Date(moment).toLocaleString();
      time.dataset.told = "yes";
    }
  }

  function tellTimes() {
    document.querySelectorAll("#feed .row > time").forEach(tellTime);
  }

  // -- names of sources

  /** The ids of these items' sources of which the page has no name. */
  function unnamed(items) {
    return items.flatMap((item) => item.sources).filter((id) => !(id in names));
  }

  function addNames(others) {
    Object.assign(names, others);
    document.querySelectorAll("#feed .source").forEach(function (source) {
      const name = names[source.dataset.source] || source.dataset.source;
      if (source.textContent !== name) source.textContent = name;
    });
  }

  window.row = { make, setClock, tellTimes, unnamed, addNames };
})(window.jQuery, window, document);
