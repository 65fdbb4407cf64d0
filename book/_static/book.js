// A wide formula, table or figure scrolls inside its own box: let the keyboard reach the box, as the theme
// does for code. Only while it overflows, so that nobody has to tab through what needs no scrolling.
function makeReachable() {
  for (const box of document.querySelectorAll(".bd-article div.math, .pst-scrollable-table-container, .figure-box")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
window.addEventListener("load", makeReachable);
window.addEventListener("resize", makeReachable);

// A page that lies on the disk may not read its neighbours: there the search shows titles, and no excerpts.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// Paper is white: a page read in the dark is printed in the light colours.
let onScreen;
window.addEventListener("beforeprint", () => {
  onScreen = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => { document.documentElement.dataset.theme = onScreen; });
