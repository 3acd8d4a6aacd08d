// What is cut on a page: boxes whose content is wider than they are, content beyond the
// page, equations that run below their number or are too small to read, tables that lose
// their first column, and punctuation that a line of text begins with because a formula
// stands before it. Returns one record for each.
() => {
  const article = document.querySelector(".bd-article");
  if (!article) return [];
  const page = document.documentElement.clientWidth;
  const found = [];

  const kind = (element) =>
    element.closest("div.math") ? "equation"
    : element.closest("table") || element.querySelector("table") ? "table"
    : element.closest(".explorable") ? "explorable"
    : element.querySelector("img") ? "figure"
    : element.closest(".cell_output") ? "output"
    : element.closest("pre, .highlight") ? "code"
    : "text";
  const report = (element, what, by) =>
    found.push({
      kind: kind(element),
      what,
      by: Math.round(by),
      hint: element.closest("[data-scrolls]") !== null,
      label: element.closest("div.math")?.id ?? "",
      text: element.textContent.trim().replace(/\s+/g, " ").slice(0, 60),
    });

  // What is folded has to be whole as well.
  const folded = [...article.querySelectorAll("details:not([open])")];
  for (const element of folded) element.open = true;

  for (const element of article.querySelectorAll("*")) {
    if (element.closest(".katex, svg") || !element.clientWidth) continue;
    const over = element.scrollWidth - element.clientWidth;
    if (over > 1 && getComputedStyle(element).overflowX !== "visible")
      report(element, "wider than its box", over);
  }
  for (const element of article.querySelectorAll("pre, table, img, .katex-display")) {
    const { left, right } = element.getBoundingClientRect();
    const box = element.parentElement.closest("[data-scrolls]");
    if (!box && right > page + 1) report(element, "beyond the page", right - page);
    if (!box && left < -1) report(element, "beyond the page", -left);
  }
  for (const element of article.querySelectorAll("div.math")) {
    const box = element.querySelector(".katex-display")?.getBoundingClientRect();
    const number = element.querySelector(".eqno")?.getBoundingClientRect();
    if (!box || !number) continue;
    const below = [...element.querySelectorAll(".katex-html > .base")]
      .map((part) => part.getBoundingClientRect())
      .filter((part) =>
        part.left < number.right - 1 && part.right > number.left + 1 &&
        part.top < number.bottom - 1 && part.bottom > number.top + 1)
      .map((part) => Math.min(part.right, box.right) - number.left);
    if (Math.max(0, ...below) > 1) report(element, "under its number", Math.max(...below));
  }
  for (const element of article.querySelectorAll("div.math .katex")) {
    // KaTeX and our style sheet set 1.1 times the size of the text.
    const size = (one) => parseFloat(getComputedStyle(one).fontSize);
    const share = size(element) / size(element.closest("div.math")) / 1.1;
    if (share < 0.745) report(element, "too small", 100 * (1 - share));
  }
  for (const element of article.querySelectorAll("[data-scrolls] > table")) {
    const first = element.querySelector("tbody tr > :first-child");
    const stays = first && getComputedStyle(first).position === "sticky";
    if (first && !stays && !matchMedia("print").matches)
      report(element, "loses its first column", 0);
  }
  for (const element of article.querySelectorAll("span.math .katex-html")) {
    const last = [...element.querySelectorAll(".base")].at(-1);
    const text = last?.nextSibling ?? element.closest("span.math").nextSibling;
    if (!text || !/^[^\s\w(\[–—]/.test(text.textContent)) continue;
    const sign = document.createRange();
    const letters = text.firstChild ?? text;
    if (letters.nodeType !== Node.TEXT_NODE) continue;
    sign.setStart(letters, 0);
    sign.setEnd(letters, 1);
    const place = sign.getBoundingClientRect();
    if (place.width && place.left < last.getBoundingClientRect().left)
      report(element.closest("p, li, td, dd") ?? element, "starts a line with punctuation", 0);
  }
  for (const element of folded) element.open = false;
  return found;
}
