// Pages with data-live ask for themselves again when the hub says that something changed; where events do not
// arrive they ask every 15 s. Without this file every page still works: it is as fresh as its last loading.
(() => {
  "use strict";
  const PAUSE = 3000, POLL = 15000;
  let last = 0, planned = 0, known = null, failures = 0, timer = 0;
  const live = () => document.querySelector("main[data-live]");
  const busy = () => document.hidden || document.activeElement?.closest("main form") || String(getSelection()).length > 0 || document.querySelector("main details[open] form");

  function refresh() {
    planned = 0;
    if (!live() || busy()) return;
    last = Date.now();
    const focus = document.activeElement?.closest("main a")?.getAttribute("href");
    window.htmx.ajax("GET", location.href, { target: "#main", select: "#main", swap: "outerHTML" }).then(() => {
      if (focus) document.querySelector(`main a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
    }).catch(() => {});
  }
  function plan() {
    if (!planned) planned = setTimeout(refresh, Math.max(0, last + PAUSE - Date.now()));
  }
  function poll() {
    if (!timer) timer = setInterval(plan, POLL);
  }
  function listen() {
    if (!window.EventSource) return poll();
    const stream = new EventSource("/events");
    stream.addEventListener("change", (event) => {
      failures = 0;
      if (known !== null && known !== event.data) plan();
      known = event.data;
    });
    stream.addEventListener("error", () => {
      failures += 1;
      if (failures > 5 || stream.readyState === EventSource.CLOSED) { stream.close(); poll(); }
    });
    addEventListener("pagehide", () => stream.close());
  }
  // The session has ended: the page asks for a new one in its own place.
  document.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status === 401) location.reload(); });
  if (live()) { last = Date.now(); listen(); setInterval(() => { if (Date.now() - last > 60000) plan(); }, 20000); }
})();
