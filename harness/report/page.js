// SPDX-License-Identifier: GPL-2.0-or-later
"use strict";
{
  const search = document.querySelector("input[type=search]");
  const chips = [...document.querySelectorAll("button[data-outcome]")];
  const runs = [...document.querySelectorAll("[data-words]")];
  const holders = [...document.querySelectorAll(".matrix tbody tr, section")];

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const off = new Set(chips.filter((chip) => chip.ariaPressed === "false")
      .map((chip) => chip.dataset.outcome));
    for (const run of runs) {
      run.hidden = off.has(run.dataset.outcome)
        || !words.every((word) => run.dataset.words.includes(word));
    }
    for (const holder of holders) {
      holder.hidden = !holder.querySelector("[data-words]:not([hidden])");
    }
  };

  const open = () => {
    const run = document.getElementById(location.hash.slice(1));
    if (run instanceof HTMLDetailsElement) {
      run.open = true;
      run.scrollIntoView();
    }
  };

  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.ariaPressed = chip.ariaPressed === "true" ? "false" : "true";
      show();
    });
  }
  search.addEventListener("input", show);
  addEventListener("hashchange", open);
  document.documentElement.classList.add("scripted");
  show();
  open();
}
