/**
 * Tells beside the items how the sources fare: how many are overdue or fail, and what is wrong in their file.
 */
(function ($, window, document) {
  "use strict";

  const { counted } = window.words;

  const mistakes = document.getElementById("mistakes");
  const list = mistakes.querySelector("ul");
  const most = Number(list.dataset.most);

  /** Show what /api/sources answered. */
  function show(answer) {
    const { active, overdue, failing } = answer.counts;
    tell("overdue", overdue, active);
    tell("failing", failing, active);
    list.replaceChildren(...answer.mistakes.slice(0, most).map(line), ...further(answer.mistakes.length - most));
    mistakes.hidden = !answer.mistakes.length;
  }

  function tell(state, number, active) {
    const verb = number === 1 ? " is " : " are ";
    $("#" + state)
      .prop("hidden", !number)
      .find("a")
      .text(number.toLocaleString("en-US") + " of " + counted(active, "source") + verb + state);
  }

  function line(text) {
    return $("<li>").text(text)[0];
  }

  function further(number) {
    if (number <= 0) return [];
    const link = $("<a>", { href: "/sources" }).text("and " + number.toLocaleString("en-US") + " more");
    return [$("<li>", { class: "more" }).append(link)[0]];
  }

  /** Whether what is shown may be over soon. */
  function isPressing() {
    return !$("#overdue").prop("hidden");
  }

  window.notices = { show, isPressing };
})(window.jQuery, window, document);
