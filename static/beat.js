/**
 * The dot beside the state: it beats once for each answer and each attempt, and rests in between.
 *
 * One that moves all the time would have the browser draw sixty pictures a second, for as long as the page is open.
 */
(function (window, document) {
  "use strict";

  const dot = document.querySelector("#live .dot");

  dot.addEventListener("animationend", () => dot.classList.remove("beat"));

  window.beat = () => dot.classList.add("beat");
})(window, document);
