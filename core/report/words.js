// SPDX-License-Identifier: MIT
// words - numbers as people read them.

const words = (() => {
  const round = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2))
    .replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

  function bytes(n) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let i = 0;
    while (n >= 999.5 && i < units.length - 1) {
      n /= 1000;
      i++;
    }
    return `${i ? round(n) : n} ${units[i]}`;
  }

  function duration(s) {
    if (s === null || s === undefined) return "";
    if (s < 0.0000005) return "0";
    if (s < 0.0009995) return `${round(s * 1e6)} \u00b5s`;
    if (s < 0.9995) return `${round(s * 1e3)} ms`;
    if (s < 60) return `${round(s)} s`;
    const minutes = Math.floor(s / 60), rest = Math.round(s - minutes * 60);
    if (minutes < 60) return `${minutes} min ${rest} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const plural = (n, one, more) => `${count(n)} ${n === 1 ? one : more ?? `${one}s`}`;

  // 1, 2, 5 times a power of ten: the step between @most marks at most over @span seconds.
  function step(span, most) {
    const raw = span / Math.max(1, most), power = 10 ** Math.floor(Math.log10(raw));
    const lead = raw / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
  }

  // A time on the axis, as exact as the step asks for.
  function mark(s, by) {
    if (Math.abs(s) < by / 1e6) return "0";
    const scaled = by < 0.001 ? [s * 1e6, by * 1e6, "\u00b5s"]
      : by < 1 && s < 1 ? [s * 1e3, by * 1e3, "ms"] : [s, by, "s"];
    const digits = Math.max(0, -Math.floor(Math.log10(scaled[1]) + 1e-9));
    if (scaled[2] === "s" && s >= 120) {
      const rest = s % 60;
      return `${Math.floor(s / 60)}:${rest < 10 ? "0" : ""}${rest.toFixed(digits)}`;
    }
    return `${scaled[0].toFixed(digits)} ${scaled[2]}`;
  }

  return { bytes, duration, count, plural, step, mark };
})();
