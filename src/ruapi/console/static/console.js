// What the console does beyond plain HTML. Every page works without this file; it listens on the document,
// so that parts which htmx swaps in need no set-up, and it writes text, never markup.
"use strict";

(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- speaking -----------------------------------------------------------------------------------

  const announce = (text) => {
    const line = document.getElementById("announcement");
    if (!line) return;
    line.textContent = "";
    window.setTimeout(() => { line.textContent = text; }, 50); // the same words twice are said twice
  };

  // --- copying ------------------------------------------------------------------------------------

  // navigator.clipboard is missing on plain HTTP. Selecting the text in place also works in a modal dialog,
  // where a field outside could not be focused; and when even that fails, the text stays selected for Ctrl+C.
  const copySelected = (element) => {
    const isField = "select" in element;
    if (isField) {
      element.select();
    } else {
      const range = document.createRange();
      range.selectNodeContents(element);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
    }
    try { return document.execCommand("copy"); } catch { return false; }
  };

  const copy = async (element) => {
    const text = "value" in element && element.tagName !== "OUTPUT" ? element.value : element.textContent;
    if (window.isSecureContext && navigator.clipboard) {
      try { await navigator.clipboard.writeText(text); return true; } catch { /* refused: the other way */ }
    }
    return copySelected(element);
  };

  const onCopy = async (button) => {
    const element = document.getElementById(button.dataset.copy);
    if (!element) return;
    const done = await copy(element);
    const label = button.querySelector("[data-copy-label]") || button;
    const use = button.querySelector("use");
    button.dataset.copyWords ??= label.textContent;
    if (use) button.dataset.copyIcon ??= use.getAttribute("href");
    label.textContent = done ? "Copied" : "Press Ctrl+C";
    if (use && done) use.setAttribute("href", button.dataset.copyIcon.replace(/#.*/, "#check"));
    button.classList.toggle("copied", done);
    announce(done ? "Copied" : "The text is selected. Press Ctrl+C to copy it.");
    window.clearTimeout(Number(button.dataset.copyTimer));
    button.dataset.copyTimer = window.setTimeout(() => {
      label.textContent = button.dataset.copyWords;
      if (use) use.setAttribute("href", button.dataset.copyIcon);
      button.classList.remove("copied");
    }, 2500);
  };

  // --- downloading --------------------------------------------------------------------------------

  const download = (button) => {
    const source = document.getElementById(button.dataset.downloadFrom || "");
    const text = source ? (button.dataset.downloadPrefix || "") + source.textContent.trim() : button.dataset.downloadText || "";
    const url = URL.createObjectURL(new Blob([text + "\n"], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = button.dataset.download;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };

  // --- time ---------------------------------------------------------------------------------------

  const styles = {
    full: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    minute: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    second: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    day: { day: "numeric", month: "short", year: "numeric" },
    time: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  };
  const formats = {};
  const localTimes = (within) => {
    for (const element of all("time[data-local]", within)) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const style = element.dataset.local in styles ? element.dataset.local : "full";
      formats[style] ??= new Intl.DateTimeFormat("en-GB", styles[style]);
      element.textContent = formats[style].format(moment);
      element.removeAttribute("data-local");
    }
  };

  // --- forms --------------------------------------------------------------------------------------

  const valuesOf = (form, name) => new FormData(form).getAll(name).map(String);

  const showWhen = (within) => {
    for (const element of all("[data-shown-when]", within)) {
      const form = element.closest("form");
      if (!form) continue;
      const [name, wanted] = element.dataset.shownWhen.split("=", 2);
      element.hidden = !valuesOf(form, name).some((value) => wanted.split("|").includes(value));
    }
  };

  // As the page shows it: several blanks look like one.
  const asShown = (text) => text.trim().replace(/\s+/g, " ");

  const confirmTyped = (input) => {
    for (const button of all("[data-confirm-button]", input.form || document)) {
      button.disabled = asShown(input.value) !== asShown(input.dataset.confirm);
    }
  };

  const countSelected = (scope) => {
    const boxes = all("[data-select-row]", scope);
    const ticked = boxes.filter((box) => box.checked).length;
    for (const box of all("[data-select-all]", scope)) {
      box.checked = ticked > 0 && ticked === boxes.length;
      box.indeterminate = ticked > 0 && ticked < boxes.length;
    }
    const card = scope.closest(".card") || document;
    for (const button of all(".bulk-bar button", card)) button.disabled = ticked === 0;
    const line = card.querySelector("[data-selected-count]");
    if (line) {
      line.dataset.words ??= line.textContent;
      line.textContent = ticked ? `${ticked} selected` : line.dataset.words;
    }
  };

  // --- rows: where the focus goes when one is gone ---------------------------------------------------

  const ROW_KEY = "ruapi.row";
  const remembered = (action) => { try { return action(window.sessionStorage); } catch { return null; } };
  const focusRow = (region, index) => {
    const rows = all("tbody tr", region);
    const row = rows[Math.min(index, rows.length - 1)];
    const goal = row ? row.querySelector("a[href], button, input") : region;
    if (goal) goal.focus();
  };
  const rowOf = (element) => {
    const row = element && element.closest("tr");
    const region = row && row.closest("[data-rows]");
    return region ? { region, index: all("tbody tr", region).indexOf(row), row } : null;
  };
  let asked = null;

  // --- scroll regions take the focus only where there is something to scroll ---------------------------

  const scrollRegions = () => {
    for (const region of all(".table-scroll, .code pre")) {
      const scrolls = region.scrollWidth > region.clientWidth + 1;
      region.classList.toggle("scrolls", scrolls);
      if (scrolls) region.setAttribute("tabindex", "0");
      else if (document.activeElement !== region) region.removeAttribute("tabindex");
    }
  };

  // --- keys ---------------------------------------------------------------------------------------

  const isTyping = (element) =>
    element instanceof HTMLElement && (element.isContentEditable || element.matches("input:not([type=checkbox]):not([type=radio]), select, textarea"));
  let goUntil = 0;

  const onKey = (event) => {
    if (event.key === "Escape") {
      for (const menu of all("details.topbar[open]")) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
      return;
    }
    if (root.dataset.shortcuts === "off" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "/") {
      const field = document.querySelector("[data-search]") || document.querySelector("main input[type=search]:not([hidden])");
      if (field) { event.preventDefault(); field.focus(); field.select(); }
      return;
    }
    if (goUntil > event.timeStamp) {
      goUntil = 0;
      const link = /^[a-z]$/.test(event.key) && document.querySelector(`.rail a[data-go="${event.key}"]`);
      if (link) { event.preventDefault(); link.click(); }
    } else if (event.key === "g") {
      goUntil = event.timeStamp + 1500;
    }
  };

  // --- the reveal page ------------------------------------------------------------------------------

  let guarded = document.querySelector("[data-reveal]") !== null;
  const guard = (event) => { if (guarded) event.preventDefault(); };

  // --- wiring ---------------------------------------------------------------------------------------

  const countAll = (within) => {
    for (const region of all("[data-rows]", within)) if (region.querySelector("[data-select-row]")) countSelected(region);
  };
  const refresh = (within) => {
    localTimes(within);
    showWhen(within);
    all("[data-needs-script]", within).forEach((element) => { element.hidden = false; });
    all("input[data-confirm]", within).forEach(confirmTyped);
    countAll(within);
    scrollRegions();
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    const copying = target.closest("[data-copy]");
    if (copying) onCopy(copying);
    const loading = target.closest("[data-download]");
    if (loading && loading.tagName === "BUTTON") download(loading);
    if (target.closest("[data-reveal-done]")) guarded = false;
    for (const menu of all("details.topbar[open]")) if (!menu.contains(target)) menu.open = false;
    asked = rowOf(target) || asked;
  });

  const onInput = (event) => {
    const field = event.target;
    if (!(field instanceof HTMLElement)) return;
    if (field.dataset.confirm !== undefined) confirmTyped(field);
    const scope = field.closest("[data-rows]");
    if (scope && field.dataset.selectAll !== undefined) {
      all("[data-select-row]", scope).forEach((box) => { box.checked = field.checked; });
    }
    if (scope && (field.dataset.selectAll !== undefined || field.dataset.selectRow !== undefined)) countSelected(scope);
    const form = field.closest("form");
    if (form) showWhen(form);
  };
  document.addEventListener("input", onInput);

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.closest("[data-reveal]") && event.submitter && event.submitter.closest("[data-reveal-done]")) guarded = false;
    const place = form.dataset.removesRow !== undefined ? rowOf(form) : null;
    if (place) remembered((storage) => storage.setItem(ROW_KEY, JSON.stringify({ path: location.pathname, index: place.index })));
  });

  document.addEventListener("keydown", onKey);
  document.addEventListener("htmx:after:swap", () => {
    refresh(document);
    if (asked && !asked.row.isConnected && (document.activeElement === document.body || document.activeElement === null)) {
      focusRow(asked.region.isConnected ? asked.region : document.querySelector("[data-rows]") || document.body, asked.index);
    }
    asked = null;
  });
  window.addEventListener("beforeunload", guard);
  window.addEventListener("pageshow", () => countAll(document)); // a browser that goes back ticks the boxes again
  window.addEventListener("resize", scrollRegions);
  document.addEventListener("toggle", scrollRegions, true);

  refresh(document);
  const summary = document.getElementById("error-summary");
  if (summary) summary.focus();
  const gone = remembered((storage) => {
    const text = storage.getItem(ROW_KEY);
    storage.removeItem(ROW_KEY);
    return text ? JSON.parse(text) : null;
  });
  if (gone && gone.path === location.pathname && !summary) {
    const region = document.querySelector("[data-rows]");
    if (region) focusRow(region, gone.index);
  }

  window.ruapi = Object.freeze({ announce, copy, refresh });
})();
