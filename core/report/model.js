// SPDX-License-Identifier: MIT
// model - the log's lines as connections with phases. Everything in them was said by strangers: it
// is shown as text (textContent, fillText), never as HTML.

const model = (() => {
  const OUTCOMES = [
    ["allow", "allowed"], ["redirect", "redirected"], ["via", "by proxy"], ["deny", "denied"],
    ["drop", "dropped"], ["failed", "failed"], ["dns", "DNS"],
  ];
  const PHASES = [
    ["dns", "DNS"], ["rules", "rules"], ["dial", "dial"], ["wait", "until first byte"],
  ];

  const number = (value) => (typeof value === "number" && isFinite(value) ? value : null);
  const string = (value) => (typeof value === "string" && value !== "" ? value : null);

  function parse(text) {
    const events = [];
    let bad = 0;
    for (const line of text.split("\n")) {
      if (line.trim() === "") continue;
      try {
        const event = JSON.parse(line);
        if (event && typeof event === "object") events.push(event);
        else bad++;
      } catch {
        bad++;
      }
    }
    return { events, bad };
  }

  // What became of it: how it is colored.
  function outcome(c) {
    if (c.verdict === "deny" || c.verdict === "drop") return c.verdict;
    if (c.network === "dns") return "dns";
    if (c.error || c.cause === "dial failed") return "failed";
    return c.verdict === "redirect" || c.verdict === "via" ? c.verdict : "allow";
  }

  function haystack(c) {
    return [c.process, c.pid, c.network, c.name, c.ip, c.port, c.verdict, c.rule, c.reason, c.cause,
      c.error, c.target, c.command, c.type, c.answer].filter((x) => x !== null && x !== undefined)
      .join(" ").toLowerCase();
  }

  // The phases, each with a beginning and an end, in order. The last is what is drawn in the color
  // of the outcome.
  function phases(c) {
    const t = c.t, list = [];
    const add = (kind, from, to) => {
      if (from !== null && to !== null && to >= from) list.push({ kind, from, to });
    };
    if (c.network === "dns") {
      add("transfer", t.asked, t.ended);
      return list;
    }
    add("dns", t.dns, t.dnsEnd);
    add("rules", t.asked, t.decided);
    add("dial", t.dialing, t.opened ?? t.ended);
    if (t.opened !== null) {
      const first = t.first ?? t.ended;
      add("wait", t.opened, first);
      if (t.first !== null) add("transfer", t.first, t.ended);
    }
    return list;
  }

  // --- from the log's lines (core/LOG.md) ---

  // "203.0.113.9:443", "[2001:db8::9]:443", "203.0.113.9" (an echo's).
  function socket(text) {
    const found = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text ?? "");
    return found ? { ip: found[1] ?? found[2], port: Number(found[3]) } : { ip: text, port: null };
  }

  function who(e) {
    const p = e.process && typeof e.process === "object" ? e.process : {};
    const parents = Array.isArray(p.parents) ? p.parents : [];
    return {
      process: string(p.name), pid: number(p.pid), cwd: string(p.cwd), exe: string(p.exe),
      command: Array.isArray(p.argv) ? p.argv.map(String).join(" ") : null,
      parents: parents.map((q) => `${string(q?.name) ?? "?"} ${number(q?.pid) ?? ""}`.trim())
        .join(", "),
    };
  }

  function common(e, began) {
    return {
      ...who(e), id: number(e.id), name: null, source: string(e.src), target: string(e.target),
      verdict: string(e.verdict), would: string(e.would), rule: string(e.rule),
      reason: string(e.reason), cause: string(e.end), error: string(e.error), up: number(e.up) ?? 0,
      down: number(e.down) ?? 0, type: null, answer: null, at: began,
      t: { dns: null, dnsEnd: null, asked: 0, decided: null, dialing: null, opened: null,
        first: null, ended: 0 }, // seconds after its beginning; see finish()
    };
  }

  function flow(e, began) {
    const c = common(e, began), t = e.t && typeof e.t === "object" ? e.t : {};
    const at = (key) => number(t[key]);
    Object.assign(c.t, { decided: at("decided"), dialing: at("dialing"), opened: at("opened"),
      first: at("first_down") ?? at("first_up"), ended: at("ended") ?? 0 });
    if (c.target && c.verdict === "allow" && !e.resolved) c.verdict = "redirect";
    return Object.assign(c, socket(string(e.dst)), { network: string(e.network) ?? "?",
      name: string(e.host) });
  }

  function question(e, began) {
    const c = common(e, began);
    c.t.ended = Math.max(0, number(e.took) ?? 0);
    const answers = Array.isArray(e.answers) ? e.answers.map(String) : [];
    return Object.assign(c, { network: "dns", name: string(e.name), ip: null, port: null,
      type: string(e.qtype), answer: answers.join(" ") || null, cause: string(e.rcode) });
  }

  function refusal(e, began) {
    return Object.assign(common(e, began), socket(string(e.dst)), {
      network: string(e.network) ?? "?", verdict: "deny", reason: string(e.why) });
  }

  const KINDS = { flow, dns: question, refused: refusal };

  // A connection's DNS phase is the question for its name that was answered last before it began,
  // if no other connection has taken it.
  function joinQuestions(list) {
    const asked = new Map();
    for (const c of list) {
      if (c.network === "dns") {
        if (c.t.ended !== null && c.name) asked.set(c.name, { c, used: false });
        continue;
      }
      const found = c.name && asked.get(c.name);
      if (!found || found.used || c.t.asked - found.c.t.ended > 2) continue;
      found.used = true;
      c.t.dns = found.c.t.asked;
      c.t.dnsEnd = found.c.t.ended;
    }
  }

  // Times become seconds of the run. They are added up from small numbers: seconds since 1970 are
  // too large for microseconds.
  function shift(list, start) {
    for (const c of list) {
      for (const key of Object.keys(c.t)) if (c.t[key] !== null) c.t[key] += c.at - start;
    }
    list.sort((a, b) => a.t.asked - b.t.asked);
  }

  function finish(list) {
    for (const c of list) {
      c.outcome = outcome(c);
      c.phases = phases(c);
      c.title = c.name ?? (c.port && c.ip?.includes(":") ? `[${c.ip}]` : c.ip) ?? "?";
      c.from = Math.min(c.t.asked, c.t.dns ?? Infinity);
      c.to = Math.max(c.from, c.t.ended);
      c.text = haystack(c);
    }
    list.sort((a, b) => a.from - b.from);
  }

  function build(text) {
    const { events, bad } = parse(text), list = [];
    let began = null, command = null, lost = 0, cut = true;
    for (const e of events) {
      const at = number(e.time);
      if (e.type === "start") {
        began = at;
        command = Array.isArray(e.command) ? e.command.map(String).join(" ") : null;
      }
      if (e.type === "lost") lost += number(e.lines) ?? 0;
      if (e.type === "end") cut = false;
      if (at !== null && Object.hasOwn(KINDS, e.type)) list.push(KINDS[e.type](e, at));
    }
    const start = list.reduce((least, c) => Math.min(least, c.at), began ?? Infinity);
    shift(list, start);
    joinQuestions(list);
    finish(list);
    const end = list.reduce((most, c) => Math.max(most, c.to), 0);
    return { list, bad, lost, cut, command, start: 0, end: Math.max(end * 1.02, 1e-3),
      took: end, at: isFinite(start) ? start : null };
  }

  return { OUTCOMES, PHASES, build, outcome, haystack, phases, number, string };
})();
