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

  const charts = JSON.parse(document.getElementById("charts").textContent);
  const drawings = Object.entries(charts).map(([name, specification]) => {
    const place = document.getElementById(name);
    return vegaEmbed(place, specification, {
      mode: "vega", renderer: "svg", actions: false, defaultStyle: false, tooltip: show,
    }).then(() => {
      for (const attribute of ["role", "aria-roledescription"]) place.removeAttribute(attribute);
      place.setAttribute("role", "img");
      place.querySelector("svg").setAttribute("aria-hidden", "true");
      for (const mark of place.querySelectorAll("[role]")) mark.removeAttribute("role");
    });
  });
  Promise.all(drawings).then(() => {
    performance.mark("drawn");
    root.dataset.drawn = "";
  });
})();
