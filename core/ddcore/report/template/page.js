"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  let theme = 0;
  button.addEventListener("click", () => {
    theme = (theme + 1) % themes.length;
    if (theme) root.dataset.theme = themes[theme];
    else delete root.dataset.theme;
    button.querySelector("span").textContent = themes[theme];
  });

  for (const copy of document.querySelectorAll(".copy")) {
    copy.addEventListener("click", async () => {
      const code = copy.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        copy.textContent = "Selected";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
  }

  const tip = document.getElementById("tip");
  const show = (_, event, item, value) => {
    tip.hidden = !value;
    if (!value) return;
    tip.textContent = typeof value === "string" ? value : Object.values(value).join(", ");
    tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  };

  // Charts in sight are drawn at once, the others one by one while the page is idle.
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const draw = async (place) => {
    await vegaEmbed(place, charts[place.id], {
      mode: "vega", renderer: "svg", actions: false, defaultStyle: false, tooltip: show,
    });
    for (const attribute of ["role", "aria-roledescription"]) place.removeAttribute(attribute);
    place.setAttribute("role", "img");
    place.querySelector("svg").setAttribute("aria-hidden", "true");
    for (const mark of place.querySelectorAll("[role]")) mark.removeAttribute("role");
  };
  const idle = window.requestIdleCallback ?? ((then) => setTimeout(then, 16));
  const places = [...document.querySelectorAll(".chart")];
  const seen = (place) => place.getBoundingClientRect().top < innerHeight;
  (async () => {
    for (const place of places.filter(seen)) await draw(place);
    performance.mark("interactive");
    for (const place of places.filter((place) => !place.firstChild)) {
      await new Promise((resolve) => idle(resolve, { timeout: 500 }));
      await draw(place);
    }
    performance.mark("drawn");
    root.dataset.drawn = "";
  })();
})();
