// SPDX-License-Identifier: MIT
// rows - connections in lanes, a lane to a process; in a lane a row for each, or, compact, as many
// rows as there are at a time. And the sums beside the picture.

const rows = (() => {
  const QUESTIONS = "DNS questions";

  function laneOf(c) {
    if (c.network === "dns") return QUESTIONS;
    return c.process ?? "process unknown";
  }

  // Puts connections that do not overlap into one row. @gap: seconds that stay free between two.
  function pack(list, gap) {
    const packed = [], ends = [];
    for (const c of list) { // sorted by their beginnings
      let at = ends.findIndex((end) => end + gap <= c.from);
      if (at < 0) at = ends.push(0) - 1;
      ends[at] = c.to;
      (packed[at] ??= []).push(c);
    }
    return packed;
  }

  // The lanes in the order of their first connections, questions last: [{ name, list, rows }].
  function lanes(list, { compact, gap }) {
    const found = new Map();
    for (const c of list) {
      const name = laneOf(c);
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(c);
    }
    const all = [...found].map(([name, own]) => ({ name, list: own }));
    all.sort((a, b) => (a.name === QUESTIONS) - (b.name === QUESTIONS));
    for (const lane of all) {
      lane.rows = compact ? pack(lane.list, gap) : lane.list.map((c) => [c]);
      lane.blocked = lane.list.filter((c) => c.outcome === "deny" || c.outcome === "drop").length;
    }
    return all;
  }

  // Sums by a key: [{ key, count, blocked, bytes, slowest }].
  function sums(list, keyOf) {
    const found = new Map();
    for (const c of list) {
      const key = keyOf(c);
      if (key === null || key === undefined) continue;
      let sum = found.get(key);
      if (!sum) found.set(key, sum = { key, count: 0, blocked: 0, bytes: 0 });
      sum.count++;
      sum.bytes += c.up + c.down;
      if (c.outcome === "deny" || c.outcome === "drop") sum.blocked++;
    }
    return [...found.values()];
  }

  // How many were open at once, at most.
  function peak(list) {
    const edges = [];
    for (const c of list) {
      if (c.network === "dns" || c.outcome === "deny" || c.outcome === "drop") continue;
      edges.push([c.from, 1], [c.to, -1]);
    }
    edges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let now = 0, most = 0;
    for (const [, step] of edges) most = Math.max(most, now += step);
    return most;
  }

  return { lanes, sums, peak, QUESTIONS };
})();
