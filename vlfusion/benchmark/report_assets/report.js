'use strict';
// Pages of pairs: what stands behind the # is the data set and the pair, `#Harvard/CT-MRI%2F12`; anything else is a place
// in the overview. Names come from files and papers, so they are only ever set as text.
document.addEventListener('DOMContentLoaded', () => {
  const at = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(at(id).textContent);
  const index = read('index');
  const [overview, viewer, pictures, difference] = ['overview', 'viewer', 'pictures', 'difference'].map(at);
  const title = document.title;
  let shown = null; // {set, pair} of the open page
  let panzoom = null;
  let left = {scroll: 0, focus: null}; // where the reader was in the overview
  let last = 'source A'; // what `d` shows the difference to

  function make(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // Pages

  function address(set, pair) {
    return '#' + [index.sets[set].name, index.sets[set].pairs[pair]].map(encodeURIComponent).join('/');
  }

  function wanted() {
    let parts;
    try {
      parts = location.hash.slice(1).split('/').map(decodeURIComponent);
    } catch {
      return null; // no name: a stray %
    }
    const set = index.sets.findIndex((one) => one.name === parts[0]);
    const pair = set < 0 ? -1 : index.sets[set].pairs.indexOf(parts.slice(1).join('/'));
    return pair < 0 ? null : {set, pair};
  }

  function route() {
    const next = wanted();
    if (next) open(next);
    else if (shown) close();
  }

  function open({set, pair}) {
    if (!shown) left = {scroll: scrollY, focus: document.activeElement};
    const {name, pairs, metrics, anchor} = index.sets[set];
    const block = read(`pair-${set}-${pair}`);
    const changed = !shown || shown.set !== set;
    shown = {set, pair};
    overview.hidden = true;
    viewer.hidden = false;
    document.body.classList.add('viewing');
    document.title = `${pairs[pair]} · ${name} · ${title}`;
    at('pair-head').textContent = `${name}: ${pairs[pair]}`;
    at('back').href = '#' + anchor;
    if (changed) at('pair').replaceChildren(...pairs.map((one, i) => make('option', {value: i}, one)));
    at('pair').value = pair;
    at('previous').disabled = pair === 0;
    at('next').disabled = pair === pairs.length - 1;

    const {width, height} = block.sources.find((one) => one.picture) ?? {width: 1, height: 1};
    pictures.style.setProperty('--shape', `${width} / ${height}`);
    pictures.replaceChildren(...block.sources.map((one) => figure(one, metrics, 'source')),
      ...block.results.map((one) => figure(one, metrics, 'result')));
    at('texts').replaceChildren(...block.texts.flatMap(([head, text]) => [make('h3', {}, head), make('p', {}, text)]));
    at('texts').hidden = !block.texts.length;
    document.querySelector('.beside').classList.toggle('alone', !block.texts.length);
    offer(block);
    watch();
    compare();
    if (changed) {
      scrollTo(0, 0);
      at('pair-head').focus({preventScroll: true});
    }
  }

  function close() {
    shown = panzoom = null;
    pictures.replaceChildren(); // lets go of what was decoded
    viewer.hidden = true;
    overview.hidden = false;
    document.body.classList.remove('viewing');
    document.title = title;
    scrollTo(0, left.scroll);
    if (left.focus?.matches('a')) left.focus.focus({preventScroll: true});
    else at(location.hash.slice(1))?.scrollIntoView();
  }

  function figure(one, metrics, kind) {
    const frame = make('div', {class: 'frame'});
    if (one.picture) {
      const over = make('img', {class: 'over', alt: '', draggable: 'false'});
      over.hidden = true;
      frame.append(make('div', {class: 'layers'}, make('img', {src: one.picture, alt: one.name, draggable: 'false',
        decoding: 'async', class: 'own'}), over));
    } else {
      frame.append(make('p', {class: 'warning'}, one.problem));
    }
    const caption = make('figcaption', {}, make('span', {class: 'name'}, one.name), ' ',
      make('small', {class: 'note'}), ' ');
    if (one.link) caption.append(make('a', {href: one.link, class: 'small'}, 'original'));
    const scores = make('dl', {class: 'scores'});
    (one.scores ?? []).forEach(([value, best], i) => {
      if (!value) return;
      const {name, arrow, label} = metrics[i];
      scores.append(make('div', {title: label}, make('dt', {}, `${name} ${arrow}`),
        make('dd', best ? {class: 'best'} : {}, value)));
    });
    if (scores.childElementCount) caption.append(scores);
    const made = make('figure', {class: kind}, frame, caption);
    made.dataset.name = one.name;
    return made;
  }

  function step(by) {
    const pair = shown.pair + by;
    // In place of this page, so that "back" leads to the overview and not through every pair.
    if (index.sets[shown.set].pairs[pair] !== undefined) {
      location.replace(address(shown.set, pair));
    }
  }

  // Zoom: one Panzoom, whose transform every picture takes

  function watch() {
    const [first] = pictures.getElementsByClassName('layers');
    panzoom = first ? Panzoom(first, {
      noBind: true, minScale: 1, maxScale: 32, step: 0.4, panOnlyWhenZoomed: true, cursor: '', touchAction: '',
      handleStartEvent: () => {},
      setTransform: (_, {x, y, scale}) => {
        const to = scale > 1 ? {x, y} : {x: 0, y: 0};
        pictures.style.setProperty('--scale', scale);
        pictures.style.setProperty('--x', `${to.x}px`);
        pictures.style.setProperty('--y', `${to.y}px`);
        pictures.classList.toggle('zoomed', scale > 1);
        pictures.classList.toggle('near', scale >= 3); // single pixels rather than a blur
        at('scale').textContent = `${Math.round(100 * scale)} %`;
      },
    }) : null;
  }

  function zoom(by) {
    if (by === 0) panzoom?.reset({animate: false});
    else if (by > 0) panzoom?.zoomIn({animate: false});
    else panzoom?.zoomOut({animate: false});
    if (panzoom?.getScale() === 1) panzoom.pan(0, 0, {force: true});
  }

  function move(x, y) {
    panzoom?.pan(x / panzoom.getScale(), y / panzoom.getScale(), {relative: true});
  }

  // A pointer over any picture is to Panzoom one over the first, at the same place in it.
  let offset = null;
  const held = new Set(); // fingers that are down
  function moved({pointerId, clientX, clientY, target}) {
    return {pointerId, target, clientX: clientX - offset.x, clientY: clientY - offset.y};
  }
  pictures.addEventListener('pointerdown', (event) => {
    const frame = event.target.closest('.frame');
    if (!panzoom || !frame || event.button !== 0 || !pictures.classList.contains('zoomed')) return;
    event.preventDefault();
    const [own, first] = [frame, pictures.querySelector('.layers').parentNode].map((one) => one.getBoundingClientRect());
    if (!held.size) offset = {x: own.left - first.left, y: own.top - first.top};
    held.add(event.pointerId);
    panzoom.handleDown(moved(event));
  });
  document.addEventListener('pointermove', (event) => {
    if (held.has(event.pointerId)) panzoom?.handleMove(moved(event));
  });
  for (const end of ['pointerup', 'pointercancel']) {
    document.addEventListener(end, (event) => {
      if (held.delete(event.pointerId)) panzoom?.handleUp(moved(event));
    });
  }
  pictures.addEventListener('wheel', (event) => {
    const frame = event.target.closest('.frame');
    if (!panzoom || !frame || !event.ctrlKey) return; // the wheel alone scrolls the page
    event.preventDefault();
    const {left, top, width, height} = frame.getBoundingClientRect();
    const scale = Math.min(32, Math.max(1, panzoom.getScale() * Math.exp(-Math.sign(event.deltaY) * 0.2)));
    const focal = {x: (event.clientX - left - width / 2) * scale, y: (event.clientY - top - height / 2) * scale};
    panzoom.zoom(scale, {focal, animate: false});
    if (scale === 1) panzoom.pan(0, 0, {force: true});
  }, {passive: false});

  // Differences: the other picture laid over each result, blended by the browser

  function offer(block) {
    const names = [...block.sources, ...block.results].filter((one) => one.picture).map((one) => one.name);
    const held = difference.value;
    difference.replaceChildren(make('option', {value: ''}, 'nothing'),
      ...names.map((name) => make('option', {value: name}, name)));
    difference.value = names.includes(held) ? held : '';
    if (!names.includes(last)) last = names[0] ?? '';
  }

  function compare() {
    const to = difference.value;
    const figures = [...pictures.children];
    const other = figures.find((one) => one.dataset.name === to)?.querySelector('.own');
    for (const one of figures) {
      const layers = one.querySelector('.layers');
      if (!layers) continue;
      const differs = Boolean(other) && one.classList.contains('result') && one.dataset.name !== to;
      const over = layers.querySelector('.over');
      layers.classList.toggle('difference', differs);
      over.hidden = !differs;
      if (differs) over.src = other.src;
      else over.removeAttribute('src');
      one.querySelector('.note').textContent = differs ? `difference × ${at('gain').value}` : '';
    }
    if (to) last = to;
    pictures.classList.toggle('grey', at('grey').checked);
    pictures.style.setProperty('--gain', at('gain').value);
    at('times').textContent = at('gain').value;
  }

  // Controls and keys

  at('previous').addEventListener('click', () => step(-1));
  at('next').addEventListener('click', () => step(1));
  at('pair').addEventListener('change', (event) => step(Number(event.target.value) - shown.pair));
  at('in').addEventListener('click', () => zoom(1));
  at('out').addEventListener('click', () => zoom(-1));
  at('whole').addEventListener('click', () => zoom(0));
  difference.addEventListener('change', compare);
  at('gain').addEventListener('input', compare);
  at('grey').addEventListener('change', compare);
  at('size').addEventListener('input', (event) => {
    pictures.style.setProperty('--size', `${event.target.value}px`);
    zoom(0); // Panzoom moves by pixels of the old size
  });

  // Light or dark: as the system, until the reader chooses; paper stays white
  const [rule] = [...document.styleSheets[0].cssRules].filter((one) => one.media?.mediaText.includes('color-scheme'));
  const system = matchMedia('(prefers-color-scheme: dark)');
  let dark = null; // the reader's choice
  function offerScheme() {
    at('scheme').textContent = dark ?? system.matches ? 'Light' : 'Dark';
  }
  at('scheme').addEventListener('click', () => {
    dark = !(dark ?? system.matches);
    rule.media.mediaText = `screen and ${dark ? '(min-width: 0)' : '(max-width: 0)'}`;
    document.documentElement.style.colorScheme = dark ? 'dark' : 'light';
    offerScheme();
  });
  at('scheme').hidden = false;
  offerScheme();
  system.addEventListener('change', offerScheme);

  for (const button of document.querySelectorAll('.help')) {
    button.addEventListener('click', () => at('shortcuts').showModal());
  }

  const keys = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), Escape: () => at('back').click(),
    '+': () => zoom(1), '=': () => zoom(1), '-': () => zoom(-1), '−': () => zoom(-1), 0: () => zoom(0),
    d: () => {
      difference.value = difference.value ? '' : last;
      compare();
    },
  };
  const shifted = {ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40]};
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || at('shortcuts').open) return;
    if (event.target.matches('select, input')) {
      if (event.key === 'Escape') event.target.blur();
      return; // they have these keys themselves
    }
    if (event.key === '?') {
      at('shortcuts').showModal();
    } else if (shown && event.shiftKey && shifted[event.key]) {
      move(...shifted[event.key]);
    } else if (shown && Object.hasOwn(keys, event.key)) {
      keys[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });

  addEventListener('hashchange', route);
  route();
});
