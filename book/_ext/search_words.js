// Part of Sphinx's language_data.js, which is loaded after searchtools.js. The build puts
// the words of search_words.json and the counts of each page in the place of the names.
const BOOK_NAMES = NAMES_OF_THE_BOOK;
const BOOK_COUNTS = COUNTS_OF_THE_BOOK;
// Sphinx's own function also escapes "-", which a pattern in Unicode must not.
const bookEscaped = (name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const bookPattern = (names) =>
  new RegExp(
    `(?<![\\p{L}\\p{N}_])(?:${names.map(bookEscaped).join("|")})(?![\\p{L}\\p{N}_])`,
    "giu",
  );
const BOOK_NAME = bookPattern(Object.keys(BOOK_NAMES));

function splitQuery(query) {
  return query
    .replace(BOOK_NAME, (name) => BOOK_NAMES[name.toLowerCase()])
    .split(/[^\p{Letter}\p{Number}_\p{Emoji_Presentation}]+/gu)
    .filter((word) => word);
}

// A heading has formulas as LaTeX.
const BOOK_LETTERS = {
  "\\alpha": "α", "\\beta": "β", "\\varepsilon": "ε", "\\hat\\varepsilon": "ε̂", _1: "₁", _2: "₂",
};
const readable = (heading) =>
  heading.replace(/\\hat\\varepsilon|\\[a-z]+|_[12]/gu, (part) => BOOK_LETTERS[part] ?? part);

// Exercises and theorems have no heading of their own.
const NO_HEADING = /^ \(|^Solution to/u;
const ASKING = "what why how which when where does do is my can should between difference".split(" ");
const telling = (words) =>
  new Set(words.filter((word) => ![...stopwords, ...ASKING].includes(word)));

// The words of each heading, and in how many headings each word is.
let bookHeadings;
function headings() {
  if (bookHeadings) return bookHeadings;
  const said = new Map();
  const counts = {};
  for (const heading of Object.keys(Search._index.alltitles)) {
    if (NO_HEADING.test(heading)) continue;
    said.set(heading, telling(splitQuery(heading.toLowerCase())));
    for (const word of said.get(heading)) counts[word] = (counts[word] ?? 0) + 1;
  }
  return (bookHeadings = { said, counts });
}

// Of each page, the heading that is most like some words, by the share of the words of
// both that they have in common, and sooner if it begins with one. What is in many
// headings, as "adam" is, counts for less. It says all of them, or the share is a quarter
// at least.
function headingsLike(words) {
  const asked = telling(words);
  const found = {};
  const { said: saidIn, counts } = headings();
  const weight = (some) =>
    [...some].reduce((sum, word) => sum + 1 / Math.sqrt(counts[word] ?? 1), 0);
  for (const [heading, places] of Object.entries(Search._index.alltitles)) {
    const said = saidIn.get(heading);
    if (!said) continue;
    const both = [...asked].filter((word) => said.has(word));
    const first = asked.has([...said][0]) ? 0.1 : 0;
    const share = weight(both) / weight(new Set([...asked, ...said])) + first;
    if (!both.length || (both.length < asked.size && share < 0.25)) continue;
    for (const [page, id] of places) {
      const name = Search._index.docnames[page];
      if (found[name]?.share >= share) continue;
      const title = Search._index.titles[page];
      found[name] = id
        ? { share, title: `${title} › ${readable(heading)}`, anchor: `#${id}` }
        : { share, title, anchor: "" };
    }
  }
  return found;
}

// By how much a word tells pages apart: 0 for one that is on all of them.
const rarity = (word) => {
  const pages = Object.values(BOOK_COUNTS);
  return Math.sqrt(1 - pages.filter((counts) => counts[word]).length / pages.length);
};

// Where no page has all the words, those that have most of them.
function withMostOf(words, results) {
  if (results.length || words.length < 2) return results;
  const pages = new Map();
  for (const word of new Set(words)) {
    const best = new Map();
    const [, ...parsed] = Search._parseQuery(word);
    for (const result of Search._performSearch(word, ...parsed))
      if (!(best.get(result[0])?.[4] >= result[4])) best.set(result[0], result);
    for (const [page, result] of best) {
      const before = pages.get(page);
      if (!before) pages.set(page, { number: 1, result });
      else {
        before.number += 1;
        before.result[4] += result[4];
      }
    }
  }
  const most = Math.max(0, ...[...pages.values()].map(({ number }) => number));
  return [...pages.values()].filter((one) => one.number === most).map((one) => one.result);
}

// Results as Sphinx has them, [page, title, anchor, description, score, file], the best
// last. A chapter comes before the API, unless the name of an object was typed; a page
// with a heading like what was typed comes sooner, and the result leads there.
Search.ranked = (query) => {
  const [, ...parsed] = Search._parseQuery(query);
  const words = splitQuery(query.toLowerCase());
  const most = Object.fromEntries(
    words.map((word) => [
      word,
      Math.max(1, ...Object.values(BOOK_COUNTS).map((counts) => counts[word] ?? 0)),
    ]),
  );
  const typed = query.trim().toLowerCase();
  const headings = headingsLike(words);
  const results = withMostOf(words, Search._performSearch(query.trim(), ...parsed));
  for (const result of results) {
    const [page, title, , description] = result;
    const counts = BOOK_COUNTS[page] ?? {};
    for (const word of words)
      result[4] += (40 * rarity(word) * (counts[word] ?? 0)) / most[word];
    const named =
      /class|function/u.test(description ?? "") &&
      title.toLowerCase().split(".").pop() === typed;
    if (page.startsWith("book/reference/api/")) result[4] += named ? 60 : -60;
    else if (page.startsWith("book/reference/")) result[4] -= 20;
  }
  // One result for each page and each object: its best.
  const best = new Map();
  for (const result of results) {
    const key = result[3] ? result[1] : result[0];
    if (!best.has(key) || best.get(key)[4] < result[4]) best.set(key, result);
  }
  for (const result of best.values()) {
    const heading = headings[result[0]];
    if (!heading || result[3]) continue;
    [result[1], result[2]] = [heading.title, heading.anchor];
    result[4] += 30 * heading.share;
  }
  return [...best.values()].sort(_orderResultsByScoreThenName);
};

Search.query = (query) => {
  const [, searchTerms, , highlightTerms] = Search._parseQuery(query);
  const results = Search.ranked(query);
  _displayNextItem(results, results.length, searchTerms, highlightTerms);
};

// The text of a page without what is drawn twice (formulas) or is no text (buttons).
const NO_TEXT =
  ".katex-mathml, nav, button, .equation-sign, .toctree-wrapper, .onlyprint, h1, " +
  "#jb-print-docs-body, .chapter-bar, .reading-way, .prev-next-area, footer, noscript";
const pageText = Search.htmlToText;
Search.htmlToText = (html, anchor) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const node of page.querySelectorAll(NO_TEXT)) node.remove();
  return pageText(page.documentElement.outerHTML, anchor).replace(/\s+/g, " ");
};

Search.makeSearchSummary = (html, words, anchor) => {
  const names = [...words].flatMap((word) => [
    word,
    ...Object.keys(BOOK_NAMES).filter((name) => BOOK_NAMES[name] === word),
  ]);
  const pattern = bookPattern(names);
  // A sentence says more than a line of code.
  const prose = Search.htmlToText(html.replace(/<pre>.*?<\/pre>/gsu, " "), anchor);
  const text = pattern.test(prose) ? prose : Search.htmlToText(html, anchor);
  pattern.lastIndex = 0;
  const found = text.search(pattern);
  // From the beginning of a sentence, if one is near.
  const before = text.slice(Math.max(found - 120, 0), Math.max(found, 0));
  const sentence = before.search(/[.?!] (?=[^.?!]*$)/u);
  const start = Math.max(found - (sentence < 0 ? 60 : before.length - sentence - 2), 0);
  const summary = document.createElement("p");
  summary.className = "context";
  // Whole words only.
  const shown = text.slice(start, start + 240).replace(/\s\S*$/u, "").trim();
  summary.textContent =
    start && sentence < 0 ? `… ${shown.replace(/^\S*\s/u, "")} …` : `${shown} …`;
  return summary;
};
