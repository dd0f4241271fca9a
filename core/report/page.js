// SPDX-License-Identifier: MIT
// page - reads the log, joins the parts, listens to the reader.

(() => {
  const $ = (id) => document.getElementById(id);
  const log = model.build($("log").textContent);
  const hidden = new Set(); // outcomes that are switched off
  let selected = null, shown = [], compact = log.list.length > 400;

  const picture = chart.make({
    canvas: $("canvas"), overview: $("overview"), scroller: $("scroller"), spacer: $("spacer"),
  }, { pick: select, hover: tell, zoomed: (yes) => { $("reset").disabled = !yes; } });

  // --- what is shown ---

  function apply(options = {}) {
    const fits = query.compile($("filter").value);
    shown = log.list.filter((c) => !hidden.has(c.outcome) && fits(c));
    const lanes = rows.lanes(shown, { compact, gap: (log.end - log.start) / 400 });
    picture.show(lanes, { compact, reveal: options.reveal });
    $("shown").textContent = shown.length === log.list.length
      ? words.plural(shown.length, "row") : `${words.count(shown.length)} of ${
        words.count(log.list.length)}`;
    $("nothing").hidden = shown.length > 0;
    $("nothing").textContent = log.list.length ? "Nothing fits the filter."
      : "The log has no connections.";
    $("compact").setAttribute("aria-pressed", compact);
    document.documentElement.dataset.shown = shown.length;
    if (selected && !shown.includes(selected)) select(null);
    else panel();
  }

  function panel() {
    $("side").replaceChildren(...(selected ? side.details(selected, () => select(null))
      : side.summary(shown, find)));
  }

  function select(c) {
    selected = c;
    picture.select(c);
    panel();
  }

  function find(text, c) {
    if (c) {
      select(c);
      return;
    }
    $("filter").value = text;
    apply();
  }

  function tell(c, event) {
    const tip = $("tip");
    tip.hidden = !c;
    if (!c) return;
    const line = (text) => side.node("span", { text });
    tip.replaceChildren(side.node("b", { text: c.title + (c.port ? `:${c.port}` : "") }),
      line([c.process, c.pid && `[${c.pid}]`, c.network, c.type].filter((x) => x).join(" ")),
      line(c.phases.map((p) => `${p.kind} ${words.duration(p.to - p.from)}`).join(", ")),
      line([c.outcome, c.rule, c.error].filter((x) => x).join(", ")),
      ...(c.up + c.down ? [line(`${words.bytes(c.up)} up, ${words.bytes(c.down)} down`)] : []));
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight
      ? event.clientY - box.height - 10 : event.clientY + 18}px`;
  }

  // --- what does not change ---

  function head() {
    const flows = log.list.filter((c) => c.network !== "dns");
    const blocked = log.list.filter((c) => c.outcome === "deny" || c.outcome === "drop").length;
    const questions = log.list.length - flows.length;
    const sum = (key) => flows.reduce((n, c) => n + c[key], 0);
    const total = (name, value, bad) => side.node("div", bad ? { class: "bad" } : {},
      side.node("dt", { text: name }), side.node("dd", { text: value }));
    if (log.command) {
      $("title").replaceChildren("Connections of ", side.node("code", { text: log.command }));
      document.title = `${log.command} - connections`;
    }
    const when = log.at ? new Date(log.at * 1000).toLocaleString(undefined, {
      dateStyle: "long", timeStyle: "short" }) : null;
    $("subtitle").textContent = [when, words.duration(log.took),
      log.bad && `${words.plural(log.bad, "line")} of the log could not be read`,
      log.lost && `${words.plural(log.lost, "event")} lost`,
      log.cut && log.list.length && "the log was cut short"].filter((x) => x).join("  \u00b7  ");
    $("totals").replaceChildren(
      total("connections", words.count(flows.length)),
      total("blocked", words.count(blocked), blocked > 0),
      total("DNS questions", words.count(questions)),
      total("open at once", words.count(rows.peak(log.list))),
      total("up", words.bytes(sum("up"))), total("down", words.bytes(sum("down"))));
  }

  function legend() {
    for (const [outcome, name] of model.OUTCOMES) {
      const n = log.list.filter((c) => c.outcome === outcome).length;
      if (!n) continue;
      const button = side.node("button", { type: "button", "aria-pressed": "true",
        "data-outcome": outcome, color: outcome, title: "Show or hide; alone with Alt" },
      side.node("i"), name, side.node("b", { text: words.count(n) }));
      button.addEventListener("click", (event) => toggle(outcome, event.altKey));
      $("legend").append(button);
    }
    const used = new Set(log.list.flatMap((c) => c.phases.map((p) => p.kind)));
    for (const [kind, name] of model.PHASES) {
      if (used.has(kind)) {
        $("phases").append(side.node("span", {}, side.node("i", { color: `phase-${kind}` }), name));
      }
    }
    $("phases").append(side.node("span", {}, side.node("i", { color: "allow" }), "transfer"),
      side.node("span", { text: "Drag to move, Ctrl and wheel to zoom, click for details" }));
  }

  function toggle(outcome, alone) {
    const buttons = [...$("legend").children];
    if (alone) {
      const only = buttons.every((b) => hidden.has(b.dataset.outcome)
        !== (b.dataset.outcome === outcome));
      for (const b of buttons) {
        if (only || b.dataset.outcome === outcome) hidden.delete(b.dataset.outcome);
        else hidden.add(b.dataset.outcome);
      }
    } else if (!hidden.delete(outcome)) {
      hidden.add(outcome);
    }
    for (const b of buttons) b.setAttribute("aria-pressed", !hidden.has(b.dataset.outcome));
    apply();
  }

  // --- light and dark: as the system has it, until the reader says otherwise ---

  const dark = matchMedia("(prefers-color-scheme: dark)");

  function paint(theme) {
    document.documentElement.dataset.theme = theme;
    picture.restyle();
  }

  // --- keys ---

  const keys = {
    ArrowDown: () => select(picture.neighbor(1)), ArrowUp: () => select(picture.neighbor(-1)),
    ArrowLeft: () => picture.pan(-0.15), ArrowRight: () => picture.pan(0.15),
    "+": () => picture.zoomBy(0.6), "=": () => picture.zoomBy(0.6), "-": () => picture.zoomBy(1.7),
    0: () => picture.whole(), c: () => $("compact").click(), Escape: () => select(null),
    "/": () => $("filter").focus(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.target === $("filter")) {
      if (event.key === "Escape") {
        $("filter").value = "";
        apply();
        $("scroller").focus();
      }
      return;
    }
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("button") && /^Arrow/.test(event.key)) return;
    event.preventDefault();
    act();
  });

  let typing = 0;
  $("filter").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(apply, 60);
  });
  $("compact").addEventListener("click", () => {
    compact = !compact;
    apply({ reveal: true });
  });
  $("reset").addEventListener("click", () => picture.whole());
  $("theme").addEventListener("click", () => paint(
    document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  dark.addEventListener("change", () => paint(dark.matches ? "dark" : "light"));

  paint(dark.matches ? "dark" : "light");
  picture.extend(log.start, log.end);
  head();
  legend();
  apply();
  picture.whole();
  document.documentElement.dataset.ready = "yes";
})();
