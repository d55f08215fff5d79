// What all pages of the debug port share: light or dark, the filter of settings, the level of the log.
"use strict";

(() => {
  const themes = ["auto", "light", "dark"];
  const names = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };

  // A browser that keeps nothing for pages throws here; the page works without.
  const stored = () => {
    try {
      return localStorage.getItem("kit-theme");
    } catch {
      return null;
    }
  };
  const store = (theme) => {
    try {
      localStorage.setItem("kit-theme", theme);
    } catch {
      // Until the page is left.
    }
  };

  let theme = themes.includes(stored()) ? stored() : "auto";
  const show = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new Event("themechange"));
  };
  // Before the page is drawn, so that it does not flash.
  show();

  const themeButton = () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = names[theme];
      button.title = "Light, dark, or as the system has it";
    };
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      store(theme);
      show();
      label();
    });
  };

  const settingsFilter = () => {
    const filter = document.getElementById("filter");
    if (!filter) return;
    const rows = [...document.querySelectorAll(".settings tbody tr")];
    filter.hidden = false;
    filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  };

  const logForm = () => {
    const form = document.getElementById("log");
    if (!form) return;
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const answer = document.getElementById("answer");
      const body = { level: form.elements.level.value };
      if (form.elements.for.value) body.for = form.elements.for.value;
      const headers = { "content-type": "application/json", accept: "application/json" };
      try {
        const response = await fetch("log", { method: "PUT", headers, body: JSON.stringify(body) });
        const said = await response.json();
        answer.className = response.ok ? "ok" : "bad";
        answer.textContent = response.ok ? `Changed to ${said.level}${said.for ? ` for ${said.for}` : ""}.` : said.message;
        if (response.ok) document.getElementById("level").textContent = said.level;
      } catch {
        answer.className = "bad";
        answer.textContent = "No answer from the service: nothing is known to have changed.";
      }
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    themeButton();
    settingsFilter();
    logForm();
  });
})();
