/**
 * A picture that does not come leaves its room empty; the browser's sign for it would only be in the way.
 *
 * Only where the page makes room for one: what stands in a summary is not ours.
 */
(function (document) {
  "use strict";

  const OURS = ".thumbnail, .table img";

  function note(image) {
    if (image.matches(OURS)) image.classList.toggle("missing", image.complete && !image.naturalWidth);
  }

  document.querySelectorAll(OURS).forEach(note);
  // these events do not bubble
  for (const name of ["load", "error"]) document.addEventListener(name, (event) => note(event.target), true);
})(document);
