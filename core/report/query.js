// SPDX-License-Identifier: MIT
// query - the filter box: words that must occur, key:value, key>number with a unit, each negated by
// a "-" before it. query.compile(text) returns a function that says whether a connection fits.

const query = (() => {
  const TEXT = {
    process: (c) => c.process, proc: (c) => c.process, pid: (c) => c.pid, name: (c) => c.name,
    host: (c) => c.name ?? c.ip, ip: (c) => c.ip, port: (c) => c.port, net: (c) => c.network,
    proto: (c) => c.network, network: (c) => c.network, rule: (c) => c.rule,
    reason: (c) => c.reason, cause: (c) => c.cause, error: (c) => c.error, target: (c) => c.target,
    type: (c) => c.type,
  };
  const WHOLE = new Set(["pid", "port"]);
  const NUMBER = {
    up: (c) => c.up, down: (c) => c.down, bytes: (c) => c.up + c.down,
    time: (c) => c.to - c.from, dial: (c) => phase(c, "dial"), wait: (c) => phase(c, "wait"),
    dns: (c) => phase(c, "dns"), rules: (c) => phase(c, "rules"), at: (c) => c.from,
  };
  const UNIT = {
    "": 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9, k: 1e3, m: 1e6, g: 1e9, kib: 1024, mib: 1048576,
    s: 1, ms: 1e-3, us: 1e-6, min: 60,
  };

  function phase(c, kind) {
    const found = c.phases.find((p) => p.kind === kind);
    return found ? found.to - found.from : 0;
  }

  function verdict(value) {
    return (c) => c.outcome.startsWith(value) || (c.verdict ?? "").startsWith(value)
      || (value.startsWith("block") && (c.outcome === "deny" || c.outcome === "drop"))
      || (value === "would" && c.would !== null);
  }

  function term(word) {
    const compared = /^(\w+)(>=|<=|>|<)([\d.]+)([a-z]*)$/.exec(word);
    if (compared && NUMBER[compared[1]] && UNIT[compared[4]] !== undefined) {
      const get = NUMBER[compared[1]], limit = Number(compared[3]) * UNIT[compared[4]];
      if (compared[2] === ">") return (c) => get(c) > limit;
      if (compared[2] === "<") return (c) => get(c) < limit;
      return compared[2] === ">=" ? (c) => get(c) >= limit : (c) => get(c) <= limit;
    }
    const named = /^(\w+):(.*)$/.exec(word);
    if (named && (named[1] === "verdict" || named[1] === "is")) {
      return verdict(named[2]);
    }
    if (named && TEXT[named[1]]) {
      const get = TEXT[named[1]], value = named[2];
      return WHOLE.has(named[1]) ? (c) => String(get(c) ?? "") === value
        : (c) => String(get(c) ?? "").toLowerCase().includes(value);
    }
    return (c) => c.text.includes(word);
  }

  // Words are parted by blanks; "..." keeps them together.
  function words(text) {
    const found = text.toLowerCase().match(/(?:"[^"]*"?|[^\s"])+/g) ?? [];
    return found.map((word) => word.replaceAll('"', "")).filter((word) => word && word !== "-");
  }

  function compile(text) {
    const terms = words(text).map((word) => {
      const not = word.startsWith("-");
      const fits = term(not ? word.slice(1) : word);
      return not ? (c) => !fits(c) : fits;
    });
    return (c) => terms.every((fits) => fits(c));
  }

  // What is to be typed to find one value of a key.
  const quote = (key, value) => `${key}:${/\s/.test(value) ? `"${value}"` : value}`;

  return { compile, quote };
})();
