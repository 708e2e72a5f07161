'use strict';
// The page of `knell timeline -o html`. The data is JSON in a script element that is not executed.
// Its texts come from processes, which choose their names and arguments: they reach the page only
// through textContent, document.title and the canvas.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($('data').textContent);
  // Microseconds from the beginning; bars are in the order parents first.
  const {start, end, lane, parent, kind, name, pid} = data.bars;
  const bars = start.length, span = Math.max(1, data.span);
  const KINDS = ['running', 'unknown', 'ok', 'failure', 'signal', 'oom', 'merged'];
  const MERGED = 6, LANE = 20, BAR = 16, SCALE = 24, LISTED = 200;
  const text = (number) => data.texts[number];

  // ---- what a bar says

  function duration(us) {
    if (us < 1000) return Math.round(us) + ' µs';
    if (us < 1e6) return (us / 1000).toFixed(us < 1e4 ? 2 : 1) + ' ms';
    if (us < 6e7) return (us / 1e6).toFixed(2) + ' s';
    const s = Math.floor(us / 1e6);
    const two = (n) => String(n).padStart(2, '0');
    return s < 3600 ? Math.floor(s / 60) + ':' + two(s % 60) + ' min'
                    : Math.floor(s / 3600) + ':' + two(Math.floor(s / 60) % 60) + ' h';
  }
  // A time of the scale, with the digits that its step needs.
  function scaleText(us, step) {
    if (us === 0) return '0';
    if (step >= 1e6 || us >= 1e6) {
      return (us / 1e6).toFixed(Math.max(0, 6 - Math.floor(Math.log10(step)))) + ' s';
    }
    return step >= 1000 ? us / 1000 + ' ms' : us + ' µs';
  }
  const failed = (i) => kind[i] === MERGED ? data.bars.failed[i] : kind[i] >= 3 ? 1 : 0;
  const onChain = (i) => data.bars.chain[i] >= 0;
  function title(i) {
    if (kind[i] === MERGED) {
      return data.bars.count[i] + ' short processes' +
        (failed(i) ? ', ' + failed(i) + ' failed' : '');
    }
    return text(name[i]);
  }
  function label(i) {
    if (kind[i] === MERGED) return (failed(i) ? '✗ ' : '') + title(i);
    const words = text(data.bars.label[i]);
    return failed(i) ? '✗ ' + words + ' · ' + text(data.bars.ended[i]) : words;
  }
  function ancestry(i) {
    const names = [];
    for (let at = i; at >= 0 && names.length < 9; at = parent[at]) {
      names.push(names.length < 8 ? title(at) : '…');
    }
    return names.join(' <- ');
  }
  function life(i) {
    const us = data.bars.life[i];
    return us >= 0 ? duration(us) : 'more than ' + duration(end[i] - start[i]);
  }
  function lines(i) {
    if (kind[i] === MERGED) {
      return [['merged', title(i)], ['within', duration(end[i] - start[i])],
              ['from', duration(start[i])], ['under', parent[i] < 0 ? '' : ancestry(parent[i])]];
    }
    return [
      ['command', text(data.bars.command[i])],
      ['ended', (failed(i) ? '✗ ' : '') + text(data.bars.ended[i])],
      ['cause', text(data.bars.cause[i])],
      ['ran', life(i) + ', from ' + duration(start[i]) + (data.bars.before[i] ? ' or before' : '')],
      ['chain', onChain(i) ? duration(data.bars.chain[i]) + ' of its own' : ''],
      ['pid', String(pid[i])],
      ['process', ancestry(i)],
    ];
  }

  // ---- bars by lane and time: those of one lane do not overlap

  const byTime = Uint32Array.from({length: bars}, (_, i) => i);
  byTime.sort((a, b) => start[a] - start[b] || end[a] - end[b]);
  // The bars that are wanted, one lane after the other; those of lane l begin at first[l].
  function inLanes(wanted) {
    const first = new Uint32Array(data.lanes + 1);
    for (let i = 0; i < bars; i++) if (wanted(i)) first[lane[i] + 1]++;
    for (let l = 0; l < data.lanes; l++) first[l + 1] += first[l];
    const next = first.slice(), items = new Uint32Array(first[data.lanes]);
    for (const i of byTime) if (wanted(i)) items[next[lane[i]]++] = i;
    return {first, items};
  }
  // The first place from `low` to `high` whose bar ends at `time` or later.
  function search({items}, low, high, time) {
    while (low < high) {
      const middle = (low + high) >> 1;
      if (end[items[middle]] < time) low = middle + 1; else high = middle;
    }
    return low;
  }
  const all = inLanes(() => true), failures = inLanes((i) => failed(i) > 0);

  // ---- drawing

  const chart = $('chart'), canvas = $('canvas'), context = canvas.getContext('2d');
  let from = 0, to = span, selected = -1, hovered = -1, waiting = false;
  let matches = null;  // of the search: a flag for each bar, how many, and inLanes() of them
  let colours = {};

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const key of [...KINDS, 'page', 'text', 'dim', 'edge', 'mark', 'accent']) {
      colours[key] = style.getPropertyValue('--' + key).trim();
    }
  }
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }
  const x = (time) => (time - from) / (to - from) * canvas.clientWidth;
  const time = (px) => from + px / canvas.clientWidth * (to - from);

  function drawScale(width) {
    context.fillStyle = colours.page;
    context.fillRect(0, 0, width, SCALE);
    const least = Math.max(1, (to - from) / width * 90), power = 10 ** Math.floor(Math.log10(least));
    const step = power * [1, 2, 5, 10].find((factor) => power * factor >= least);
    context.fillStyle = colours.dim;
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      context.fillRect(x(at), SCALE - 5, 1, 5);
      context.fillText(scaleText(at, step), x(at) + 3, SCALE - 8);
    }
    context.fillStyle = colours.edge;
    context.fillRect(0, SCALE - 1, width, 1);
  }
  // `many`: others are too narrow to be drawn and are in this one.
  function drawBar(i, left, width, y, many) {
    context.globalAlpha = matches && !matches.flags[i] ? 0.25 : 1;
    context.fillStyle = colours[KINDS[many && !failed(i) ? MERGED : kind[i]]];
    context.fillRect(left, y, width, BAR);
    context.fillStyle = colours.mark;
    if (onChain(i)) context.fillRect(left, y + BAR - 2, width, 2);
    if (failed(i)) {
      context.beginPath();
      context.moveTo(left, y);
      context.lineTo(left + 6, y);
      context.lineTo(left, y + 6);
      context.fill();
    }
    if (kind[i] === 0 || data.bars.before[i]) {  // an end that is not known
      context.fillStyle = colours.dim;
      for (let at = y; at < y + BAR; at += 4) {
        if (kind[i] === 0) context.fillRect(left + width - 2, at, 2, 2);
        if (data.bars.before[i]) context.fillRect(left, at, 2, 2);
      }
    }
    if (width > 24 && !many) {
      context.fillStyle = colours.text;
      const room = Math.floor((width - 10) / 6.4);
      const words = label(i);
      context.fillText(words.length <= room ? words : words.slice(0, Math.max(1, room - 1)) + '…',
                       left + 8, y + 12);
    }
    context.globalAlpha = 1;
    if (i === selected || i === hovered) {
      context.strokeStyle = i === hovered ? colours.text : colours.accent;
      context.lineWidth = 2;
      context.strokeRect(left, y, width, BAR);
    }
  }
  // Draws the bars of a lane that are in `list`. Of those that end within one pixel, one is drawn, so
  // the time this takes depends on the width and not on the number of bars.
  function drawLane(list, l, y, width, least) {
    const last = list.first[l + 1];
    let drawn = 0, run = null;  // adjacent narrow bars
    const flush = () => {
      if (run) { drawBar(run.i, run.left, run.right - run.left, y, run.many); drawn++; }
      run = null;
    };
    for (let at = search(list, list.first[l], last, from); at < last; ) {
      const i = list.items[at];
      if (start[i] > to) break;
      const left = Math.max(-4, x(start[i])), right = Math.min(width + 4, x(end[i]));
      if (right - left >= least) {
        flush();
        drawBar(i, left, right - left - 0.5, y, false);
        drawn++;
        at++;
        continue;
      }
      const next = Math.max(at + 1, search(list, at, last, time(left + 1)));
      if (run && left - run.right > 1) flush();
      if (run) run.many = true; else run = {i, left, right: left, many: next - at > 1};
      run.right = Math.max(run.right, right, left + (least > 2 ? least : 1));
      at = next;
    }
    flush();
    return drawn;
  }
  function draw() {
    const width = chart.clientWidth, height = chart.clientHeight;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = width + 'px';
      canvas.style.height = height + 'px';
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = '11px system-ui, "DejaVu Sans", Verdana, sans-serif';
    context.fillStyle = colours.page;
    context.fillRect(0, 0, width, height);
    const top = chart.scrollTop;
    const firstLane = Math.max(0, Math.floor(top / LANE));
    const lastLane = Math.min(data.lanes, Math.ceil((top + height - SCALE) / LANE));
    let drawn = 0;
    for (let l = firstLane; l < lastLane; l++) {
      const y = SCALE + l * LANE - top + 2;
      drawn += drawLane(all, l, y, width, 2);
      drawLane(failures, l, y, width, 4);
      if (matches) drawLane(matches.lanes, l, y, width, 3);
    }
    if (selected >= 0) {
      const left = Math.max(-4, x(start[selected])), right = Math.min(width + 4, x(end[selected]));
      const y = SCALE + lane[selected] * LANE - top + 2;
      if (right >= 0 && left <= width) drawBar(selected, left, Math.max(3, right - left), y, false);
    }
    drawScale(width);
    Object.assign(chart.dataset, {drawn, from: Math.round(from), to: Math.round(to), selected});
  }

  // ---- moving

  function show(a, b) {
    const length = Math.min(span * 1.02, Math.max(5, b - a));
    const begin = Math.min(Math.max(a, -span * 0.01), span * 1.01 - length);
    from = begin;
    to = begin + length;
    redraw();
  }
  function zoom(factor, around) {
    show(around - (around - from) * factor, around + (to - around) * factor);
  }
  const pan = (part) => show(from + part * (to - from), to + part * (to - from));
  function reveal(i) {
    const length = Math.max(end[i] - start[i], 5);
    const fits = start[i] >= from && end[i] <= to && length > (to - from) / 50;
    if (!fits) show(start[i] - length * 2, end[i] + length * 2);
    const y = lane[i] * LANE;
    if (y < chart.scrollTop || y > chart.scrollTop + chart.clientHeight - SCALE - LANE) {
      chart.scrollTop = Math.max(0, y - chart.clientHeight / 3);
    }
  }
  function select(i) {
    selected = i;
    const details = $('details');
    details.replaceChildren();
    details.hidden = i < 0;
    if (i >= 0) {
      const list = document.createElement('dl');
      for (const [key, value] of lines(i)) {
        if (value === '') continue;
        const term = document.createElement('dt'), words = document.createElement('dd');
        term.textContent = key;
        words.textContent = value;
        list.append(term, words);
      }
      details.append(list);
    }
    redraw();
  }
  function go(i) { select(i); reveal(i); chart.focus({preventScroll: true}); }

  // ---- pointing

  function barAt(event) {
    const box = canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    const l = Math.floor((py - SCALE + chart.scrollTop) / LANE);
    if (py < SCALE || l < 0 || l >= data.lanes) return -1;
    let best = -1, distance = 4;  // pixels: a narrow bar can be hit
    const last = all.first[l + 1];
    for (let at = search(all, all.first[l], last, time(px - 4)); at < last; at++) {
      const i = all.items[at];
      if (start[i] > time(px + 4)) break;
      const away = Math.max(x(start[i]) - px, px - x(end[i]), 0) - (failed(i) ? 0.5 : 0);
      if (away < distance) { distance = away; best = i; }
    }
    return best;
  }
  function hover(event) {
    const i = barAt(event), tip = $('tip');
    if (i !== hovered) { hovered = i; redraw(); }
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.replaceChildren();
    for (const [key, value] of lines(i)) {
      if (value === '') continue;
      const line = document.createElement('p');
      line.textContent = key === 'command' ? value : key + ': ' + value;
      tip.append(line);
    }
    const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 16;
    const fits = below + tip.offsetHeight < window.innerHeight;
    tip.style.left = Math.max(0, left) + 'px';
    tip.style.top = (fits ? below : Math.max(0, event.clientY - tip.offsetHeight - 10)) + 'px';
  }
  let drag = null;
  canvas.addEventListener('pointerdown', (event) => {
    drag = {x: event.clientX, y: event.clientY, from, to, top: chart.scrollTop, moved: false};
    canvas.setPointerCapture(event.pointerId);
    chart.focus({preventScroll: true});
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!drag) return hover(event);
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (Math.abs(dx) + Math.abs(dy) > 4) drag.moved = true;
    if (!drag.moved) return;
    const by = dx / canvas.clientWidth * (drag.to - drag.from);
    chart.scrollTop = drag.top - dy;
    show(drag.from - by, drag.to - by);
  });
  canvas.addEventListener('pointerup', (event) => {
    if (drag && !drag.moved) select(barAt(event));
    drag = null;
  });
  canvas.addEventListener('pointerleave', () => {
    hovered = -1;
    $('tip').hidden = true;
    redraw();
  });
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    const dx = event.deltaX * unit, dy = event.deltaY * unit;
    if (event.shiftKey || Math.abs(dx) > Math.abs(dy)) return pan((dx || dy) / canvas.clientWidth);
    if (event.altKey) { chart.scrollTop += dy; return; }
    zoom(Math.pow(1.0015, Math.max(-600, Math.min(600, dy))),
         time(event.clientX - canvas.getBoundingClientRect().left));
  }, {passive: false});

  // ---- searching

  let lower = null;  // the texts in lower case
  function find() {
    const words = $('search').value.toLowerCase();
    matches = null;
    if (words !== '') {
      lower = lower || data.texts.map((one) => one.toLowerCase());
      const hits = lower.map((one) => one.includes(words));
      const flags = new Uint8Array(bars);
      let count = 0;
      for (let i = 0; i < bars; i++) {
        if (kind[i] === MERGED) continue;
        const hit = hits[name[i]] || hits[data.bars.command[i]] || hits[data.bars.ended[i]] ||
          String(pid[i]) === words;
        if (hit) { flags[i] = 1; count++; }
      }
      matches = {flags, count, lanes: inLanes((i) => flags[i] === 1)};
    }
    $('found').textContent = matches ? matches.count + ' of ' + bars + ' bars' : '';
    redraw();
  }
  // Goes to the next wanted bar after the selected one, in the order of their starts.
  function next(wanted, back) {
    const at = selected < 0 ? (back ? 0 : -1) : byTime.indexOf(selected);
    for (let step = 1; step <= bars; step++) {
      const i = byTime[(at + (back ? -step : step) + bars) % bars];
      if (wanted(i)) return go(i);
    }
  }
  const nextMatch = (back) => matches && next((i) => matches.flags[i] === 1, back);
  const nextFailure = (back) => next((i) => failed(i) > 0, back);

  $('search').addEventListener('input', find);
  $('search').addEventListener('keydown', (event) => {
    if (event.key === 'Enter') { nextMatch(event.shiftKey); $('search').focus(); }
    if (event.key === 'Escape') { $('search').value = ''; find(); chart.focus(); }
  });
  const keys = {
    '+': () => zoom(0.6, (from + to) / 2), '=': () => zoom(0.6, (from + to) / 2),
    '-': () => zoom(1 / 0.6, (from + to) / 2), '0': () => show(0, span), 'Home': () => show(0, span),
    'ArrowLeft': () => pan(-0.15), 'ArrowRight': () => pan(0.15),
    'ArrowUp': () => { chart.scrollTop -= 3 * LANE; },
    'ArrowDown': () => { chart.scrollTop += 3 * LANE; },
    'PageUp': () => { chart.scrollTop -= chart.clientHeight / 2; },
    'PageDown': () => { chart.scrollTop += chart.clientHeight / 2; },
    'n': () => nextMatch(false), 'N': () => nextMatch(true),
    'f': () => nextFailure(false), 'F': () => nextFailure(true),
    'p': () => { if (selected >= 0 && parent[selected] >= 0) go(parent[selected]); },
    'z': () => { if (selected >= 0) show(start[selected], end[selected]); },
    'Escape': () => select(-1),
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === $('search')) return;
    if (event.key === '/') { event.preventDefault(); $('search').focus(); return; }
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  for (const [id, key] of [['zoom-in', '+'], ['zoom-out', '-'], ['whole', '0']]) {
    $(id).addEventListener('click', keys[key]);
  }

  // ---- the lists at the top

  function fill(list, all, words, limit) {
    for (const one of all.slice(list.childElementCount, limit)) {
      const item = document.createElement('li'), button = document.createElement('button');
      const how = document.createElement('span');
      const [first, rest] = words(one);
      how.className = 'how';
      how.textContent = first;
      button.type = 'button';
      button.append(how, ' · ' + rest);  // a string is added as text
      button.disabled = one.bar < 0;
      if (one.bar >= 0) button.title = text(data.bars.command[one.bar]);
      button.addEventListener('click', () => go(one.bar));
      item.append(button);
      list.append(item);
    }
    if (list.childElementCount >= all.length) return;
    const item = document.createElement('li'), button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'show more; ' + (all.length - list.childElementCount) + ' are left';
    button.addEventListener('click', () => { item.remove(); fill(list, all, words, limit + 1000); });
    item.append(button);
    list.append(item);
  }
  document.title = data.title;
  $('title').textContent = data.title;
  $('facts').textContent = data.facts;
  $('origin').textContent = data.origin;
  $('failures').hidden = data.failures.length === 0;
  $('chain').hidden = data.chain.length === 0;
  fill($('failure-list'), data.failures, (one) => {
    const cause = text(one.cause);
    return ['✗ ' + text(one.ended) + (cause === '' ? '' : ', ' + cause), text(one.life) + ' · ' + text(one.words)];
  }, LISTED);
  fill($('chain-list'), data.chain, (one) => [duration(one.own), text(one.words)], LISTED);
  const tall = $('tall');
  tall.style.height = SCALE + data.lanes * LANE + 8 + 'px';
  chart.addEventListener('scroll', redraw);
  new ResizeObserver(redraw).observe(chart);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    readColours();
    redraw();
  });
  $('no-script').remove();
  readColours();
  draw();
  document.documentElement.dataset.ready = 'yes';
})();
