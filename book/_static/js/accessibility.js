// What scrolls sideways must be reachable by keyboard, and say what it is.
const label = (element) =>
  element.matches(".cell_output") ? "figure, scrollable" :
  element.matches(".katex-display") ? "formula, scrollable"
    : element.matches(".pst-scrollable-table-container, .table-wrapper") ? "table, scrollable"
      : "code, scrollable";

const update = () => {
  const selector = ".katex-display, .cell_output:has(img), .bd-article pre, .pst-scrollable-table-container, .table-wrapper";
  for (const element of document.querySelectorAll(selector)) {
    if (element.scrollWidth > element.clientWidth) {
      element.tabIndex = 0;
      element.setAttribute("role", "group");
      element.setAttribute("aria-label", label(element));
    } else {
      element.removeAttribute("tabindex");
      element.removeAttribute("role");
      element.removeAttribute("aria-label");
    }
  }
};

addEventListener("load", update);
addEventListener("resize", update);
document.fonts?.ready.then(update);

// The theme's buttons show one text and announce another.
for (const button of document.querySelectorAll(".search-button-field[aria-label]")) {
  button.removeAttribute("aria-label");
}
