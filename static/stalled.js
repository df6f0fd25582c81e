/**
 * Shows that nothing is polled, in the server's words: those of the header Feedmirror-Polling.
 */
(function (window, document) {
  "use strict";

  const banner = document.getElementById("stalled");

  /** Show what this header says; whether it says that nothing is polled. Null: nothing is known. */
  window.stalled = function (header) {
    const alarm = /^stalled;words="([^"]*)"/.exec(header || "");
    const text = alarm ? alarm[1] : "";
    if (banner.textContent !== text) banner.textContent = text;
    banner.hidden = !alarm;
    return Boolean(alarm);
  };
})(window, document);
