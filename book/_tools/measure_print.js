// What is wrong with a page on paper, in sentences. The page is to be shown as on paper.
() => {
  const article = document.querySelector(".bd-article");
  if (!article) return [];
  const wrong = [];
  const name = (element) => element.textContent.trim().replace(/\s+/g, " ").slice(0, 50);
  const seen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  const light = (colour) => {
    const [red, green, blue, alpha] = colour.match(/[\d.]+/g).map(Number);
    return alpha === 0 ? null : (red + green + blue) / 3;
  };
  if (light(getComputedStyle(document.body).backgroundColor) < 250) wrong.push("the paper is not white");
  for (const element of article.querySelectorAll("p, pre, pre span, .katex, td, h1, h2")) {
    if (light(getComputedStyle(element).color) > 160) wrong.push(`pale: ${name(element)}`);
    const paper = light(getComputedStyle(element).backgroundColor);
    if (paper !== null && paper < 200) wrong.push(`on a dark ground: ${name(element)}`);
  }
  for (const element of document.querySelectorAll("button, input, select, .bd-sidebar nav, .headerlink, .chapter-bar"))
    if (seen(element)) wrong.push(`cannot be pressed on paper: ${element.className || element.tagName}`);
  for (const folded of article.querySelectorAll("details > :not(summary), .toggle-hidden > :not(.admonition-title)"))
    if (!seen(folded) || (name(folded) && !folded.clientHeight)) wrong.push(`folded: ${name(folded)}`);
  for (const element of article.querySelectorAll("pre"))
    if (element.scrollWidth > element.clientWidth + 1) wrong.push(`cut: ${name(element)}`);
  for (const image of article.querySelectorAll("img"))
    if (seen(image) && image.src.endsWith(".dark.svg")) wrong.push(`dark: ${image.src}`);
  for (const figure of article.querySelectorAll("figure.explorable")) {
    if (!seen(figure.querySelector("img"))) wrong.push("an explorable has no picture");
    if (!/^Explorable [\d.]+, \w+\./.test(name(figure.querySelector("figcaption"))))
      wrong.push(`no number: ${name(figure)}`);
    if (getComputedStyle(figure).breakBefore !== "avoid") wrong.push("a picture leaves its question");
  }
  return [...new Set(wrong)];
}
