// SPDX-License-Identifier: MIT
// chart - the waterfall: only what can be seen is drawn, so its cost does not grow with the log.
//
// chart.make(elements, events) returns an object with show(lanes), select(c), zoom(from, to). The
// canvas stands still in a scrolling box; a spacer beneath it is as high as all rows are.

const chart = (() => {
  const AXIS = 26, HEAD = 28, ROW = 22, THIN = 11, PAD = 12;

  function make(el, on) {
    const ctx = el.canvas.getContext("2d");
    let style = {}, width = 0, height = 0, labels = 0;
    let lanes = [], lines = [], total = 0, extent = [0, 1], view = [0, 1];
    let selected = null, hovered = null, compact = false, pending = false;
    const folded = new Set();

    function restyle() {
      const computed = getComputedStyle(document.documentElement);
      style = new Proxy({}, {
        get: (cache, name) => (cache[name] ??= computed.getPropertyValue(`--${name}`).trim()),
      });
    }

    // --- what is where ---

    function layout() {
      let y = AXIS;
      labels = compact ? PAD + 6 : Math.round(Math.min(270, Math.max(110, width * 0.28)));
      lines = [];
      for (const lane of lanes) {
        lines.push({ y, h: HEAD, lane });
        y += HEAD;
        if (folded.has(lane.name)) continue;
        const h = compact ? THIN : ROW;
        for (const list of lane.rows) {
          lines.push({ y, h, list });
          y += h;
        }
        y += 6;
      }
      total = y;
      el.spacer.style.height = `${Math.max(0, total - height)}px`;
    }

    const x = (t) => labels + (t - view[0]) / (view[1] - view[0]) * (width - labels - PAD);
    const time = (px) => view[0] + (px - labels) / (width - labels - PAD) * (view[1] - view[0]);

    // The first line that ends below y.
    function lineAt(y) {
      let low = 0, high = lines.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (lines[middle].y + lines[middle].h <= y) low = middle + 1;
        else high = middle;
      }
      return low;
    }

    function hit(px, py) {
      if (py < AXIS) return null;
      const line = lines[lineAt(py + el.scroller.scrollTop)];
      if (!line || line.y > py + el.scroller.scrollTop) return null;
      if (line.lane) return { lane: line.lane };
      if (!compact) return { c: line.list[0] };
      let best = null, distance = 6;
      for (const c of line.list) {
        const away = Math.max(x(c.from) - px, px - Math.max(x(c.to), x(c.from) + 3), 0);
        if (away < distance) {
          best = c;
          distance = away;
        }
      }
      return best && { c: best };
    }

    // --- drawing ---

    // Text cut to fit, with an ellipsis: by halving, since measuring is what costs.
    function fit(text, room) {
      if (ctx.measureText(text).width <= room) return text;
      let low = 0, high = text.length;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (ctx.measureText(`${text.slice(0, middle)}\u2026`).width <= room) low = middle;
        else high = middle - 1;
      }
      return low ? `${text.slice(0, low)}\u2026` : "";
    }

    function bar(from, to, y, h, color) {
      const left = Math.max(x(from), labels), right = Math.min(x(to), width);
      if (right < labels || left > width) return;
      ctx.fillStyle = color;
      ctx.fillRect(left, y, Math.max(right - left, 1.5), h);
    }

    function drawConnection(c, y, h) {
      const thin = h <= THIN, top = y + (thin ? 2 : 6), high = h - (thin ? 3 : 12);
      for (const p of c.phases) {
        if (p.kind === "transfer") continue;
        bar(p.from, p.to, top + (thin ? 0 : 2), high - (thin ? 0 : 4), style[`phase-${p.kind}`]);
      }
      const move = c.phases.find((p) => p.kind === "transfer");
      if (move) bar(move.from, move.to, top, high, style[c.outcome]);
      // How it ended, if nothing moved: a mark, so that what took no time is seen, too.
      const at = x(c.to);
      if (!move && at >= labels - 4 && at <= width + 4) {
        ctx.fillStyle = style[c.outcome];
        if (thin) {
          ctx.fillRect(at - 1, top - 1, 3, high + 2);
        } else if (c.outcome === "allow" || c.outcome === "dns") {
          ctx.fillRect(at - 1, top, 3, high);
        } else {
          ctx.beginPath();
          ctx.moveTo(at, top - 1.5);
          ctx.lineTo(at + 5.5, top + high / 2);
          ctx.lineTo(at, top + high + 1.5);
          ctx.lineTo(at - 5.5, top + high / 2);
          ctx.fill();
        }
      }
    }

    // Beside the bar: how long and how much, where there is room.
    function note(c, y) {
      const right = x(c.to) + (c.phases.some((p) => p.kind === "transfer") ? 7 : 11);
      const what = c.outcome === "deny" || c.outcome === "drop" ? c.rule ?? ""
        : c.outcome === "failed" ? c.error ?? c.cause ?? ""
          : c.up + c.down ? `${words.duration(c.to - c.from)}  ${words.bytes(c.up + c.down)}`
            : words.duration(c.to - c.from);
      if (x(c.to) < labels || right > width - 40) return;
      ctx.fillStyle = style.faint;
      ctx.fillText(fit(what, width - right - 6), right, y + ROW / 2 + 0.5);
    }

    function drawRow(line, y) {
      const chosen = line.list.includes(selected);
      const under = !chosen && !compact && line.list[0] === hovered;
      if (chosen || under) {
        ctx.fillStyle = chosen ? style.select : style.hover;
        ctx.fillRect(0, y, width, line.h);
      }
      ctx.save();
      ctx.beginPath();
      ctx.rect(labels - 6, y, width - labels + 6, line.h);
      ctx.clip();
      for (const c of line.list) {
        if (x(c.to) < labels - 8) continue;
        if (x(c.from) > width + 8) continue;
        drawConnection(c, y, line.h);
        if (c === selected && compact) {
          ctx.strokeStyle = style.ink;
          ctx.strokeRect(x(c.from) - 2, y + 0.5, Math.max(x(c.to) - x(c.from), 3) + 4, line.h - 1);
        }
      }
      if (!compact) {
        ctx.font = `11px ${style.sans}`;
        note(line.list[0], y);
      }
      ctx.restore();
      if (compact) return;
      const c = line.list[0], blocked = c.outcome === "deny" || c.outcome === "drop";
      ctx.fillStyle = style[c.outcome];
      ctx.fillRect(PAD, y + 7, 3, line.h - 14);
      ctx.font = `12.5px ${style.sans}`;
      const port = c.port ? `:${c.port}` : "";
      ctx.font = `12px ${style.mono}`;
      const room = labels - PAD - 20 - ctx.measureText(port).width;
      ctx.font = `12.5px ${style.sans}`;
      ctx.fillStyle = blocked || c.outcome === "failed" ? style[c.outcome] : style.ink;
      const text = fit(c.title, room);
      ctx.fillText(text, PAD + 10, y + line.h / 2 + 0.5);
      const after = PAD + 10 + ctx.measureText(text).width;
      ctx.font = `12px ${style.mono}`;
      ctx.fillStyle = style.faint;
      ctx.fillText(port, after, y + line.h / 2 + 0.5);
    }

    function drawHead(line, y) {
      const { lane } = line, middle = y + HEAD / 2 + 1;
      ctx.fillStyle = style.panel;
      ctx.fillRect(0, y, width, HEAD);
      ctx.fillStyle = style.grid;
      ctx.fillRect(0, y, width, 1);
      ctx.fillStyle = style.soft;
      ctx.beginPath();
      if (folded.has(lane.name)) {
        ctx.moveTo(PAD, middle - 4);
        ctx.lineTo(PAD + 5, middle);
        ctx.lineTo(PAD, middle + 4);
      } else {
        ctx.moveTo(PAD - 1, middle - 2.5);
        ctx.lineTo(PAD + 7, middle - 2.5);
        ctx.lineTo(PAD + 3, middle + 2.5);
      }
      ctx.fill();
      ctx.font = `600 12.5px ${style.sans}`;
      ctx.fillStyle = style.ink;
      const text = fit(lane.name, width * 0.5);
      ctx.fillText(text, PAD + 14, middle);
      const after = PAD + 14 + ctx.measureText(text).width + 10;
      ctx.font = `12px ${style.sans}`;
      ctx.fillStyle = style.soft;
      const many = words.count(lane.list.length);
      ctx.fillText(many, after, middle);
      if (lane.blocked) {
        ctx.fillStyle = style.deny;
        ctx.fillText(`${words.count(lane.blocked)} blocked`,
          after + ctx.measureText(many).width + 10, middle);
      }
    }

    function drawAxis() {
      const span = view[1] - view[0];
      const by = words.step(span, (width - labels) / 90);
      ctx.fillStyle = style.panel;
      ctx.fillRect(0, 0, width, AXIS);
      ctx.font = `11px ${style.sans}`;
      ctx.fillStyle = style.faint;
      for (let i = Math.ceil(view[0] / by); i * by <= view[1]; i++) {
        const text = words.mark(i * by, by), at = x(i * by) + 4;
        if (at + ctx.measureText(text).width < width) ctx.fillText(text, at, AXIS / 2);
      }
      ctx.fillStyle = style.line;
      ctx.fillRect(0, AXIS - 1, width, 1);
    }

    function drawGrid() {
      const by = words.step(view[1] - view[0], (width - labels) / 90);
      ctx.fillStyle = style.grid;
      for (let i = Math.ceil(view[0] / by); i * by <= view[1]; i++) {
        ctx.fillRect(Math.round(x(i * by)), 0, 1, height);
      }
    }

    function draw() {
      pending = false;
      const top = el.scroller.scrollTop;
      ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      ctx.textBaseline = "middle";
      ctx.lineWidth = 1;
      ctx.fillStyle = style.panel;
      ctx.fillRect(0, 0, width, height);
      drawGrid();
      let drawn = 0, head = null;
      for (let i = lineAt(top + AXIS); i < lines.length && lines[i].y < top + height; i++) {
        const line = lines[i];
        if (line.lane) drawHead(line, line.y - top);
        else drawRow(line, line.y - top);
        drawn++;
      }
      for (let i = Math.min(lineAt(top + AXIS), lines.length - 1); i >= 0 && !head; i--) {
        if (lines[i].lane) head = lines[i];
      }
      if (head && head.y < top + AXIS) { // the lane's name stays in sight
        const next = lines.find((line) => line.lane && line.y > head.y);
        drawHead(head, Math.min(AXIS, next ? next.y - top - HEAD : AXIS));
      }
      drawAxis();
      el.canvas.dataset.drawn = drawn;
      drawOverview();
    }

    function redraw() {
      if (!pending) requestAnimationFrame(draw);
      pending = true;
    }

    // --- the overview: how many began when, and what part is seen ---

    let density = [];

    function count() {
      const buckets = Math.max(40, Math.min(400, Math.floor((width - labels) / 4)));
      density = Array.from({ length: buckets }, () => ({ all: 0, blocked: 0 }));
      for (const lane of lanes) {
        for (const c of lane.list) {
          const part = (c.from - extent[0]) / (extent[1] - extent[0]);
          const bucket = density[Math.max(0, Math.min(buckets - 1, Math.floor(part * buckets)))];
          bucket.all++;
          if (c.outcome === "deny" || c.outcome === "drop") bucket.blocked++;
        }
      }
    }

    function drawOverview() {
      const o = el.overview.getContext("2d");
      const w = el.overview.clientWidth, h = el.overview.clientHeight;
      const most = density.reduce((m, b) => Math.max(m, b.all), 1);
      const room = w - labels - PAD, each = room / density.length;
      const scale = (n) => (n ? Math.max(2, Math.sqrt(n / most) * (h - 12)) : 0);
      o.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      o.clearRect(0, 0, w, h);
      density.forEach((b, i) => {
        for (const [n, color] of [[b.all, style.allow], [b.blocked, style.deny]]) {
          o.fillStyle = color;
          o.fillRect(labels + i * each, h - scale(n), Math.max(1, each - 1), scale(n));
        }
      });
      o.font = `11px ${style.sans}`;
      o.textBaseline = "middle";
      o.fillStyle = style.faint;
      if (!compact) o.fillText("Begun over time", PAD, h / 2);
      const part = (t) => labels + (t - extent[0]) / (extent[1] - extent[0]) * room;
      if (view[0] > extent[0] || view[1] < extent[1]) {
        o.fillStyle = style.sunken;
        o.globalAlpha = 0.72;
        o.fillRect(labels, 0, part(view[0]) - labels, h);
        o.fillRect(part(view[1]), 0, w, h);
        o.globalAlpha = 1;
        o.strokeStyle = style.accent;
        const wide = Math.max(3, part(view[1]) - part(view[0]));
        o.strokeRect(part(view[0]) + 0.5, 0.5, wide - 1, h - 1);
      }
    }

    // --- moving ---

    function zoom(from, to) {
      const all = extent[1] - extent[0], least = Math.max(all / 1e6, 1e-6);
      const span = Math.min(Math.max(to - from, least), all);
      const start = Math.max(extent[0], Math.min(from, extent[1] - span));
      view = span >= all * 0.999 ? extent : [start, start + span];
      on.zoomed(view[0] > extent[0] || view[1] < extent[1]);
      redraw();
    }

    function zoomBy(factor, at) {
      zoom(at - (at - view[0]) * factor, at + (view[1] - at) * factor);
    }

    function resize() {
      const box = el.scroller.getBoundingClientRect();
      width = el.scroller.clientWidth;
      height = Math.floor(box.height);
      for (const [canvas, w, h] of [[el.canvas, width, height],
        [el.overview, el.overview.clientWidth, el.overview.clientHeight]]) {
        canvas.width = Math.round(w * devicePixelRatio);
        canvas.height = Math.round(h * devicePixelRatio);
      }
      el.canvas.style.width = `${width}px`;
      el.canvas.style.height = `${height}px`;
      layout();
      count();
      draw();
    }

    function reveal(c) {
      const line = lines.find((l) => l.list && l.list.includes(c));
      if (!line) return;
      const box = el.scroller, top = AXIS + HEAD, bottom = line.y + line.h;
      if (line.y - box.scrollTop < top) box.scrollTop = line.y - top;
      else if (bottom - box.scrollTop > height) box.scrollTop = bottom - height + 8;
    }

    function listen() {
      const at = (event) => [event.offsetX, event.offsetY];
      let drag = null;
      el.scroller.addEventListener("scroll", redraw, { passive: true });
      el.canvas.addEventListener("pointerdown", (e) => {
        drag = { x: e.offsetX, view: [...view], moved: false };
        el.canvas.setPointerCapture(e.pointerId);
      });
      el.canvas.addEventListener("pointermove", (e) => {
        if (drag && e.buttons) {
          drag.moved ||= Math.abs(e.offsetX - drag.x) > 4;
          if (drag.moved) {
            const span = drag.view[1] - drag.view[0];
            const by = (drag.x - e.offsetX) / (width - labels - PAD) * span;
            zoom(drag.view[0] + by, drag.view[1] + by);
          }
          return;
        }
        const found = hit(...at(e));
        el.canvas.style.cursor = found ? "pointer" : "default";
        hovered = found?.c ?? null;
        on.hover(hovered, e);
        redraw();
      });
      el.canvas.addEventListener("pointerleave", () => {
        hovered = null;
        on.hover(null);
        redraw();
      });
      el.canvas.addEventListener("pointerup", (e) => {
        const still = drag && !drag.moved;
        drag = null;
        const found = still && hit(...at(e));
        if (!found) return;
        if (found.lane) fold(found.lane.name);
        else on.pick(found.c);
      });
      el.canvas.addEventListener("dblclick", (e) => zoomBy(0.3, time(e.offsetX)));
      el.scroller.addEventListener("wheel", (e) => {
        const sideways = Math.abs(e.deltaX) > Math.abs(e.deltaY);
        if (!e.ctrlKey && !e.metaKey && !sideways) return;
        e.preventDefault();
        if (sideways) {
          const by = e.deltaX / width * (view[1] - view[0]);
          zoom(view[0] + by, view[1] + by);
        } else {
          zoomBy(Math.exp(e.deltaY * 0.004), time(Math.max(labels, e.offsetX)));
        }
      }, { passive: false });
      brush();
    }

    // A stretch drawn in the overview becomes what is seen; a click brings the view there.
    function brush() {
      let from = null;
      const at = (e) => extent[0]
        + (e.offsetX - labels) / (width - labels - PAD) * (extent[1] - extent[0]);
      el.overview.addEventListener("pointerdown", (e) => {
        from = at(e);
        el.overview.setPointerCapture(e.pointerId);
      });
      el.overview.addEventListener("pointermove", (e) => {
        if (from !== null && e.buttons) zoom(Math.min(from, at(e)), Math.max(from, at(e)));
      });
      el.overview.addEventListener("pointerup", (e) => {
        const span = view[1] - view[0], moved = Math.abs(at(e) - from) / (extent[1] - extent[0]);
        if (moved < 0.004) zoom(at(e) - span / 2, at(e) + span / 2);
        from = null;
      });
    }

    function fold(name) {
      if (!folded.delete(name)) folded.add(name);
      layout();
      redraw();
    }

    restyle();
    resize();
    listen();
    new ResizeObserver(resize).observe(el.scroller);

    return {
      show(next, options) {
        ({ compact } = options);
        lanes = next;
        layout();
        count();
        if (selected && options.reveal) reveal(selected);
        redraw();
      },
      extend(from, to) {
        extent = view = [from, to];
      },
      select(c) {
        selected = c;
        if (c) reveal(c);
        redraw();
      },
      // The connection @by further than the selected one, as they stand.
      neighbor(by) {
        const all = lines.filter((line) => line.list).flatMap((line) => line.list);
        const at = all.indexOf(selected);
        return all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))] ?? null;
      },
      pan(part) {
        const by = part * (view[1] - view[0]);
        zoom(view[0] + by, view[1] + by);
      },
      zoomBy: (factor) => zoomBy(factor, (view[0] + view[1]) / 2),
      whole: () => zoom(...extent),
      fold,
      zoom,
      span: () => view[1] - view[0],
      restyle() {
        restyle();
        redraw();
      },
    };
  }

  return { make };
})();
