/**
 * Changes the page without taking anything from its reader: makes a part of it like another by changing only where they
 * differ, and keeps what the reader looks at in its place.
 *
 * What stays the same is not touched, so what the reader has done with it stays as well: focus, selection, an unfolded
 * summary, a picture that is loaded. Knows nothing of what the parts are.
 */
(function (window) {
  "use strict";

  // The class of the outermost element and the unfolding of details are the page's own doing. (Parts of different
  // classes are no counterparts, so no other class is ever lost.)
  const KEPT = new Set(["class", "open"]);

  function patch(old, wanted) {
    if (old.isEqualNode(wanted)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = wanted.data;
      return;
    }
    patchAttributes(old, wanted);
    patchChildren(old, wanted);
  }

  function patchAttributes(old, wanted) {
    for (const { name, value } of wanted.attributes) {
      if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of Array.from(old.attributes)) {
      if (!KEPT.has(name) && !wanted.hasAttribute(name)) old.removeAttribute(name);
    }
  }

  function patchChildren(old, wanted) {
    let next = old.firstChild;
    for (const child of Array.from(wanted.childNodes)) {
      const counterpart = find(child, next);
      if (counterpart) {
        next = removeUpTo(counterpart, next);
        patch(next, child);
        next = next.nextSibling;
      } else {
        old.insertBefore(child, next);
      }
    }
    removeUpTo(null, next);
  }

  /** The next child that can become this one; for a text only the very next, as elements are not given up for it. */
  function find(wanted, from) {
    const last = wanted.nodeType === Node.ELEMENT_NODE ? null : from && from.nextSibling;
    for (let one = from; one !== last; one = one.nextSibling) {
      if (isCounterpart(one, wanted)) return one;
    }
    return null;
  }

  function isCounterpart(one, other) {
    return one.nodeName === other.nodeName && one.id === other.id && one.className === other.className;
  }

  function removeUpTo(end, from) {
    let one = from;
    while (one !== end) {
      const following = one.nextSibling;
      one.remove();
      one = following;
    }
    return end;
  }

  /** Make the change without moving the first of these rows that is in view. */
  function keepingPlace(rows, change) {
    const anchor = Array.from(rows).find((row) => row.getBoundingClientRect().bottom > 0);
    const before = anchor && anchor.getBoundingClientRect().top;
    change();
    if (!anchor || !anchor.isConnected) return;
    window.scrollBy({ top: anchor.getBoundingClientRect().top - before, behavior: "instant" });
  }

  /** Make `old` like `wanted`, whose parts may be used up. */
  window.patch = patch;
  window.keepingPlace = keepingPlace;
})(window);
