// The theme's buttons show one text and announce another.
for (const button of document.querySelectorAll(".search-button-field[aria-label]")) {
  button.removeAttribute("aria-label");
}
