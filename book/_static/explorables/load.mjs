// Starts each explorable when it comes near the window, and not before.

const start = async (figure) => {
  const { default: build } = await import(`./${figure.dataset.explorable}.mjs`);
  const stage = document.createElement("div");
  stage.className = "ex-stage";
  await build(stage, JSON.parse(figure.dataset.settings || "{}"));
  // The picture stays, for paper.
  figure.querySelector(".ex-still").after(stage);
  figure.dataset.ready = "true";
};

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      // Of a program that does not arrive, or does not run here, the picture stays.
      start(target).catch((error) => {
        target.dataset.failed = "true";
        throw error;
      });
    }
  },
  { rootMargin: "300px" },
);
for (const figure of document.querySelectorAll("[data-explorable]")) watcher.observe(figure);
