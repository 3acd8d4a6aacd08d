// What is wider than its place: equations are made smaller or broken into lines; what has
// to be scrolled fades where there is more, can be reached by keyboard and says what it is.

const SMALLEST = 0.75;
const BROKEN = 0.85;

const fits = (box) => box.scrollWidth <= box.clientWidth + 1;

const fitEquation = (box) => {
  const formula = box.querySelector(".katex");
  if (!formula) return;
  const size = (share) => {
    formula.style.fontSize = share === 1 ? "" : `${1.1 * share}em`;
  };
  size(1);
  box.classList.remove("broken");
  if (!box.clientWidth || fits(box)) return;
  const share = Math.floor((100 * box.clientWidth) / box.scrollWidth) / 100;
  size(Math.max(share, SMALLEST));
  if (fits(box)) return;
  box.classList.add("broken");
  size(BROKEN);
  if (!fits(box)) size(SMALLEST);
};

const fitTable = (box) => {
  box.classList.remove("tight", "roomy", "roomy-on-phone");
  box.classList.toggle("tight", !fits(box));
  // Where one has to scroll anyway, narrow columns only make it taller.
  box.classList.toggle("roomy", !fits(box));
};

const kind = (box) =>
  box.matches(".cell_output") ? "figure"
  : box.matches(".katex-display") ? "formula"
  : box.matches(".pst-scrollable-table-container") ? "table"
  : "code";

const mark = (box) => {
  const end = box.scrollWidth - box.clientWidth;
  if (end <= 1) {
    for (const name of ["tabindex", "role", "aria-label", "data-scrolls"]) box.removeAttribute(name);
    return;
  }
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `${kind(box)}, scrollable`);
  const sides = [box.scrollLeft > 1 && "start", box.scrollLeft < end - 1 && "end"];
  box.dataset.scrolls = sides.filter(Boolean).join(" ");
};

const EQUATIONS = "div.math > .katex-display";
const TABLES = ".pst-scrollable-table-container";
const BOXES = `${EQUATIONS}, ${TABLES}, .cell_output:has(img), .bd-article pre`;

const update = (part = document) => {
  part.querySelectorAll(EQUATIONS).forEach(fitEquation);
  part.querySelectorAll(TABLES).forEach(fitTable);
  part.querySelectorAll(BOXES).forEach(mark);
};

for (const box of document.querySelectorAll(BOXES))
  box.addEventListener("scroll", () => mark(box), { passive: true });
// Paper has no place to press: all that is folded is open there, where the style sheet
// alone cannot do it.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const folded of opened) folded.open = true;
});
addEventListener("afterprint", () => {
  for (const folded of opened) folded.open = false;
});
// What is folded has no width until it is opened.
addEventListener("toggle", ({ target }) => update(target), true);
update();
addEventListener("load", () => update());
addEventListener("resize", () => update());
document.fonts?.ready.then(() => update());

// The theme's buttons show one text and announce another.
for (const button of document.querySelectorAll(".search-button-field[aria-label]"))
  button.removeAttribute("aria-label");
