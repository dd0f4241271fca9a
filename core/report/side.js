// SPDX-License-Identifier: MIT
// side - the panel beside the picture: sums, or all that is known about one connection. All text
// goes in by textContent.

const side = (() => {
  function node(name, options = {}, ...children) {
    const { text, ...rest } = options, made = document.createElement(name);
    for (const [key, value] of Object.entries(rest)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (key === "color") made.style.setProperty("--c", `var(--${value})`);
      else made.setAttribute(key, value);
    }
    if (text !== undefined) made.textContent = text;
    made.append(...children.filter((child) => child));
    return made;
  }

  // --- one connection ---

  function steps(c) {
    const span = Math.max(c.to - c.from, 1e-9), table = node("table", { class: "steps" });
    const label = Object.fromEntries(model.PHASES);
    for (const p of c.phases) {
      const track = node("i", { color: p.kind === "transfer" ? c.outcome : `phase-${p.kind}` });
      track.style.left = `${(p.from - c.from) / span * 100}%`;
      track.style.width = `${(p.to - p.from) / span * 100}%`;
      table.append(node("tr", {},
        node("td", { text: label[p.kind] ?? (c.network === "dns" ? "answer" : "transfer") }),
        node("td", {}, node("div", { class: "track" }, track)),
        node("td", { text: words.duration(p.to - p.from) })));
    }
    return table;
  }

  function facts(pairs) {
    const list = node("dl", { class: "facts" });
    for (const [key, value, code] of pairs) {
      if (value === null || value === undefined || value === "") continue;
      list.append(node("dt", { text: key }),
        node("dd", { text: value, ...(code ? { class: "code" } : {}) }));
    }
    return list.children.length ? list : null;
  }

  function verdict(c) {
    const label = Object.fromEntries(model.OUTCOMES)[c.outcome];
    return c.would ? `${label}; would be ${c.would === "drop" ? "dropped" : "denied"}`
      : c.network === "dns" && c.outcome === "dns" ? "answered" : label;
  }

  function details(c, onClose) {
    const clock = c.at ? new Date(c.at * 1000) : null;
    const section = (title, content) => (content ? [node("h3", { text: title }), content] : []);
    return [
      node("button", { type: "button", class: "quiet close", text: "\u00d7", title: "Close (Esc)",
        "aria-label": "Close", onclick: onClose }),
      node("h2", { text: c.title + (c.port ? `:${c.port}` : "") }),
      node("p", { text: c.name && c.ip ? `${c.network} to ${c.ip}` : c.network }),
      node("span", { class: "badge", text: verdict(c), color: c.outcome }),
      ...section("Phases", steps(c)),
      ...section("Verdict", facts([
        ["Rule", c.rule, true], ["Reason", c.reason], ["Dialed", c.target, true],
        ["Ended", c.network === "dns" ? null : c.cause], ["Error", c.error]])),
      ...section("Process", facts([
        ["Name", c.process], ["Pid", c.pid], ["Command", c.command, true], ["Program", c.exe, true],
        ["Folder", c.cwd, true], ["Parents", c.parents]])),
      ...section("Bytes", c.network === "dns" ? null : facts([
        ["Up", words.bytes(c.up)], ["Down", words.bytes(c.down)],
        ["Rate", c.to > c.from && c.up + c.down > 1e4
          ? `${words.bytes(Math.round((c.up + c.down) / (c.to - c.from)))}/s` : null]])),
      ...section("Question", c.network === "dns" ? facts([
        ["Type", c.type], ["Result", c.cause], ["Answer", c.answer, true]]) : null),
      ...section("When", facts([
        ["Began", clock ? clock.toLocaleString(undefined, { dateStyle: "medium",
          timeStyle: "medium" }) : null],
        ["In the run", `at ${words.duration(c.from) || "0"}`],
        ["Took", words.duration(c.to - c.from)], ["From", c.source, true], ["Number", c.id]])),
    ];
  }

  // --- sums ---

  const MANY = 8;

  function table(title, key, list, columns, by, onFind) {
    const sorted = list.filter((sum) => by(sum) > 0).sort((a, b) => by(b) - by(a));
    if (!sorted.length) return null;
    const most = by(sorted[0]), body = node("tbody");
    for (const sum of sorted.slice(0, MANY)) {
      const button = node("button", { type: "button", text: sum.label ?? sum.key,
        title: sum.label ?? sum.key,
        onclick: () => (sum.c ? onFind(null, sum.c) : onFind(query.quote(key, String(sum.key)))) });
      button.style.setProperty("--share", `${by(sum) / most * 100}%`);
      body.append(node("tr", {}, node("td", {}, button),
        ...columns.map(([, show]) => node("td", { text: show(sum) }))));
    }
    const more = sorted.length - MANY;
    const head = node("tr", {}, node("th", { text: more > 0 ? `of ${sorted.length}` : "" }),
      ...columns.map(([name]) => node("th", { text: name })));
    return [node("h3", { text: title }),
      node("table", { class: "top" }, node("thead", {}, head), body)];
  }

  function summary(list, onFind) {
    const flows = list.filter((c) => c.network !== "dns");
    const count = ["Count", (s) => words.count(s.count)];
    const bytes = ["Bytes", (s) => (s.bytes ? words.bytes(s.bytes) : "")];
    const dials = flows.map((c) => ({ c, p: c.phases.find((p) => p.kind === "dial") }))
      .filter(({ p }) => p).map(({ c, p }) => ({ c, label: c.title, took: p.to - p.from }));
    const blocked = list.filter((c) => c.outcome === "deny" || c.outcome === "drop");
    const parts = [
      table("Destinations by bytes", "host", rows.sums(flows, (c) => c.name ?? c.ip),
        [count, bytes], (s) => s.bytes, onFind),
      table("Blocked, by rule", "rule", rows.sums(blocked, (c) => c.rule ?? "no rule"),
        [count], (s) => s.count, onFind),
      table("Blocked destinations", "host", rows.sums(blocked, (c) => c.name ?? c.ip),
        [count], (s) => s.count, onFind),
      table("Processes", "process", rows.sums(flows, (c) => c.process),
        [count, bytes], (s) => s.count, onFind),
      table("Slowest dials", "", dials, [["Took", (s) => words.duration(s.took)]],
        (s) => s.took, onFind),
    ].filter((part) => part).flat();
    return parts.length ? parts : [node("p", { text: "Nothing to sum up." })];
  }

  return { node, details, summary };
})();
