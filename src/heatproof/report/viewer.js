// The viewer: panels that show a map each, on one cross. NiiVue draws where there is WebGL2, else a plain canvas.
const study = JSON.parse(document.getElementById("study").textContent);
const $ = id => document.getElementById(id);
const state = {mm: study.point, colours: Object.keys(study.colours)[0], opacity: 1, plane: "all"};
const PLANES = {axial: [0, 1, 2], coronal: [0, 2, 1], sagittal: [1, 2, 0]}; // across, up, through

const unpack = async text => {
  const packed = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
};
const KINDS = {2: Uint8Array, 4: Int16Array, 8: Int32Array};
const read = async text => { // NIfTI whose axes run to the right, to the front and up
  const buffer = await unpack(text), head = new DataView(buffer);
  const size = [42, 44, 46].map(at => head.getInt16(at, true)), step = head.getFloat32(112, true) || 1;
  const edge = [280, 300, 320].map(at => head.getFloat32(at, true)), origin = [292, 308, 324].map(at => head.getFloat32(at, true));
  const voxels = new KINDS[head.getInt16(70, true)](buffer, head.getFloat32(108, true));
  const at = mm => {
    const [x, y, z] = mm.map((value, axis) => Math.round((value - origin[axis]) / edge[axis]));
    const inside = x >= 0 && y >= 0 && z >= 0 && x < size[0] && y < size[1] && z < size[2];
    return inside ? step * voxels[x + size[0] * (y + size[1] * z)] : 0;
  };
  const ends = [0, 1, 2].map(axis => [origin[axis] - edge[axis] / 2, origin[axis] + (size[axis] - .5) * edge[axis]]);
  return {text, at, ends};
};
const EMPTY = {at: () => 0};

const table = (name, half) => {
  const flat = study.colours[name][half];
  return Array.from({length: 256}, (_, level) => flat.slice(3 * level, 3 * level + 3));
};
const colourOf = (value, shown) => { // of a value of a map; nothing where it is transparent
  const size = Math.abs(value);
  if (size < shown.floor || size === 0) return null;
  return table_of(value < 0 ? "negative" : "positive")[Math.min(255, Math.floor(256 * size / shown.map.limit))];
};
const tables = {};
const table_of = half => tables[state.colours + half] ??= table(state.colours, half);

// --- what draws: show(panel) draws another map, paint(panel) the same in another way, move() at another place
const plainView = (canvas, moved) => {
  const pen = canvas.getContext("2d"), tiles = [];
  const draw = panel => {
    const box = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [box.width * ratio, box.height * ratio];
    const {ends} = study.read.template, span = ends.map(([low, high]) => high - low);
    const names = state.plane === "all" ? Object.keys(PLANES) : [state.plane];
    const wide = names.length > 1 && canvas.width > 1.5 * canvas.height, columns = names.length === 1 ? 1 : wide ? 3 : 2;
    const cell = [canvas.width / columns, canvas.height / (names.length === 1 || wide ? 1 : 2)];
    const scale = Math.min(cell[0], cell[1]) / Math.max(...span);
    tiles.length = 0;
    names.forEach((name, number) => {
      const [across, up, through] = PLANES[name], size = [across, up].map(axis => Math.max(1, Math.floor(scale * span[axis])));
      const left = Math.floor((number % columns + .5) * cell[0] - size[0] / 2), top = Math.floor((Math.floor(number / columns) + .5) * cell[1] - size[1] / 2);
      const picture = pen.createImageData(...size), mm = [...state.mm];
      for (let row = 0, at = 0; row < size[1]; row++) for (let column = 0; column < size[0]; column++, at += 4) {
        mm[across] = ends[across][0] + (column + .5) / scale;
        mm[up] = ends[up][1] - (row + .5) / scale;
        const grey = panel.under.at(mm), colour = panel.map.volume && grey ? colourOf(panel.volume.at(mm), panel) : null;
        for (let part = 0; part < 3; part++) picture.data[at + part] = colour ? state.opacity * colour[part] + (1 - state.opacity) * grey : grey;
        picture.data[at + 3] = 255;
      }
      pen.putImageData(picture, left, top);
      tiles.push({left, top, size, across, up, scale, ends});
      pen.strokeStyle = "#7fb2ff";
      const x = left + scale * (state.mm[across] - ends[across][0]), y = top + scale * (ends[up][1] - state.mm[up]);
      pen.strokeRect(x, top, 0, size[1]);
      pen.strokeRect(left, y, size[0], 0);
      pen.fillStyle = "#fff";
      pen.font = `${13 * ratio}px sans-serif`;
      if (across === 0) ["L", "R"].forEach((letter, end) => pen.fillText(letter, left + end * (size[0] - 12 * ratio) + 1, top + size[1] / 2));
    });
  };
  const point = event => {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    const [x, y] = [ratio * (event.clientX - box.left), ratio * (event.clientY - box.top)];
    const tile = tiles.find(({left, top, size}) => x >= left && y >= top && x < left + size[0] && y < top + size[1]);
    if (!tile) return;
    const mm = [...state.mm];
    mm[tile.across] = tile.ends[tile.across][0] + (x - tile.left) / tile.scale;
    mm[tile.up] = tile.ends[tile.up][1] - (y - tile.top) / tile.scale;
    moved(mm);
  };
  canvas.onpointerdown = point;
  canvas.onpointermove = event => { if (event.buttons) point(event); };
  return {show: draw, paint: draw, move: draw, place: () => state.mm};
};

const TRANSPARENT_BELOW_MIN = 2; // colours begin at 0, not at the threshold; NiiVue 0.69.0 has the names of its types 1 and 2 the wrong way round
const niivueView = async (canvas, moved) => {
  const {Niivue, NVImage, SLICE_TYPE, MULTIPLANAR_TYPE, SHOW_RENDER} = niivue;
  const types = {all: SLICE_TYPE.MULTIPLANAR, axial: SLICE_TYPE.AXIAL, coronal: SLICE_TYPE.CORONAL, sagittal: SLICE_TYPE.SAGITTAL};
  const nv = new Niivue({
    backColor: [0, 0, 0, 1], fontColor: [1, 1, 1, 1], showAllOrientationMarkers: true, crosshairColor: [.5, .7, 1, 1], crosshairWidth: .5, dragAndDropEnabled: false, logLevel: "error", loadingText: "",
    isNearestInterpolation: true, isRadiologicalConvention: false, sagittalNoseLeft: false, multiplanarShowRender: SHOW_RENDER.NEVER,
    multiplanarPadPixels: 14, multiplanarLayout: MULTIPLANAR_TYPE.GRID, isColorbar: false, show3Dcrosshair: false,
  });
  await nv.attachToCanvas(canvas);
  for (const name in study.colours) for (const half of ["positive", "negative"]) {
    const colours = table(name, half), channel = part => colours.map(colour => colour[part]);
    nv.addColormap(name + half, {R: channel(0), G: channel(1), B: channel(2), A: colours.map((_, level) => level && 255), I: colours.map((_, level) => level)});
  }
  const image = (text, options) => NVImage.loadFromBase64({base64: text, name: "volume.nii.gz", ...options});
  nv.onLocationChange = place => moved([...place.mm].slice(0, 3), true);
  let shown = {};
  const paint = panel => {
    nv.opts.multiplanarLayout = canvas.clientWidth > 1.5 * canvas.clientHeight ? MULTIPLANAR_TYPE.ROW : MULTIPLANAR_TYPE.GRID;
    nv.setSliceType(types[state.plane]);
    const map = nv.volumes[1];
    if (map) {
      map.colormap = state.colours + "positive";
      map.colormapNegative = panel.map.signed ? state.colours + "negative" : "";
      map.colormapType = TRANSPARENT_BELOW_MIN;
      [map.cal_min, map.cal_max, map.opacity] = [Math.max(panel.floor, 1e-6), panel.map.limit, state.opacity];
    }
    nv.updateGLVolume();
  };
  const move = () => {
    if (!nv.volumes.length) return;
    nv.scene.crosshairPos = nv.mm2frac(state.mm);
    nv.drawScene();
  };
  return {
    async show(panel) {
      if (shown.under !== panel.under) {
        while (nv.volumes.length) nv.removeVolumeByIndex(nv.volumes.length - 1);
        nv.addVolume(await image(panel.under.text, {colormap: "gray", cal_min: 0, cal_max: 255}));
      } else while (nv.volumes.length > 1) nv.removeVolumeByIndex(nv.volumes.length - 1);
      if (panel.map.volume) nv.addVolume(await image(panel.map.volume, {cal_min: 0, cal_max: panel.map.limit}));
      shown = {under: panel.under};
      paint(panel);
      move();
    },
    paint(panel) { paint(panel); move(); },
    move,
    place: () => [...nv.frac2mm(nv.scene.crosshairPos)].slice(0, 3),
  };
};

// --- one panel: which map, above what threshold
const round = value => (Math.abs(value) >= 1 || value === 0 ? value.toPrecision(3) : value.toFixed(Math.abs(value) < .01 ? 4 : 2)).replace("-", "−").replace(/^0(\.0+)?$/, "0");
const fill = (select, names, wanted) => {
  select.replaceChildren(...names.map(name => new Option(name, name)));
  select.value = names.includes(wanted) ? wanted : names[0];
  select.disabled = names.length === 1;
};
const distinct = (maps, key) => [...new Set(maps.map(map => map[key]))];

const makePanel = async (number, first, draws) => {
  const root = $("panel").content.cloneNode(true).firstElementChild, find = name => root.querySelector(name);
  $("panels").append(root);
  root.setAttribute("aria-label", number ? "Second map" : "First map");
  find(".screen").setAttribute("aria-label", `Slices of the ${number ? "second" : "first"} map; arrow keys and Page Up, Page Down move the cross`);
  find(".screen").setAttribute("role", "application");
  const selects = ["what", "model", "scans"].map(name => find("select." + name));
  const panel = {root, map: first, under: study.read.template, volume: EMPTY, floor: 0};
  panel.view = await draws(find("canvas"), (mm, drawn) => moveTo(mm, drawn ? panel : null));
  const legend = () => {
    const {limit, signed, unit, volume} = panel.map, bar = find(".bar"), low = signed ? -limit : 0;
    const css = Array.from({length: 65}, (_, i) => {
      const value = low + (limit - low) * i / 64, colour = colourOf(value, panel);
      return `${colour ? `rgb(${colour})` : "#fff"} ${100 * i / 64}%`;
    });
    bar.style.background = `linear-gradient(to right, ${css})`;
    bar.setAttribute("aria-label", `Colours from ${round(low)} to ${round(limit)}, transparent nearer to 0 than ${round(panel.floor)}`);
    find(".ends").replaceChildren(...[low, limit].map(value => Object.assign(document.createElement("span"), {textContent: round(value)})));
    find(".ends").children[0].after(Object.assign(document.createElement("span"), {textContent: `transparent below ${round(panel.floor)}`}));
    find(".unit").textContent = unit;
    find(".screen p").textContent = volume ? "" : "No map: there is no such scan, or no relevance.";
  };
  panel.say = () => { find(".value").textContent = panel.map.volume ? `Here: ${round(panel.volume.at(state.mm))}` : ""; };
  panel.threshold = share => {
    panel.floor = share * panel.map.limit;
    legend();
    return panel.view.paint(panel);
  };
  panel.place = () => panel.view.place();
  panel.repaint = () => { legend(); return panel.view.paint(panel); };
  panel.show = async () => {
    const [what, model, scans] = selects, map = panel.map;
    fill(what, distinct(study.maps, "what"), map.what);
    const ofMap = study.maps.filter(other => other.what === map.what);
    fill(model, distinct(ofMap, "model"), map.model);
    fill(scans, distinct(ofMap, "scans"), map.scans);
    panel.floor = map.threshold;
    find(".threshold").value = Math.round(100 * map.threshold / map.limit);
    if (find(".background")) find(".background").style.visibility = map.background ? "" : "hidden";
    panel.volume = map.volume ? await read(map.volume) : EMPTY;
    const scan = find(".under")?.value === "scan" && map.background;
    panel.under = scan ? study.read[scan] ??= await read(study.scans[scan]) : study.read.template;
    legend();
    await panel.view.show(panel);
    panel.say();
  };
  const choose = () => {
    const [what, model, scans] = selects.map(select => select.value);
    const near = map => (map.what === what) * 4 + (map.scans === scans) * 2 + (map.model === model);
    panel.map = study.maps.reduce((best, map) => near(map) > near(best) ? map : best);
    return panel.show();
  };
  selects.forEach(select => { select.onchange = choose; });
  find(".under").onchange = () => panel.show();
  if (Object.keys(study.scans).length) find(".under").value = "scan";
  else find(".background").remove();
  find(".threshold").oninput = event => panel.threshold(event.target.value / 100);
  const STEPS = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [2, -1], ArrowUp: [2, 1], PageDown: [1, -1], PageUp: [1, 1]};
  root.querySelector(".screen").addEventListener("keydown", event => {
    if (event.key === "Tab") return;
    event.stopPropagation(); // NiiVue has keys of its own
    if (!STEPS[event.key]) return;
    event.preventDefault();
    const [axis, step] = STEPS[event.key];
    moveTo(state.mm.map((value, other) => other === axis ? value + step : value));
  }, true);
  await panel.show();
  return panel;
};

// --- all panels on one place
const panels = [];
const moveTo = (mm, drawn = null) => {
  state.mm = mm.map((value, axis) => Math.min(Math.max(value, study.read.template.ends[axis][0]), study.read.template.ends[axis][1]));
  const [x, y, z] = state.mm.map(value => Math.round(value)), name = study.names[study.read.regions.at(state.mm)];
  $("where").textContent = `${[x, y, z].join(", ").replace(/-/g, "−")} mm · ${name ?? (study.read.template.at(state.mm) ? "no region" : "outside of the brain")}`;
  document.querySelectorAll(".axis").forEach(slider => { slider.value = Math.round(state.mm[slider.dataset.axis]); });
  for (const panel of panels) {
    panel.say();
    if (panel !== drawn) panel.view.move(panel);
  }
};

const start = async () => {
  study.read = {template: await read(study.template), regions: await read(study.regions)};
  const webgl = Boolean(document.createElement("canvas").getContext("webgl2"));
  $("fallback").hidden = webgl;
  if (webgl) document.head.append(Object.assign(document.createElement("script"), {textContent: new TextDecoder().decode(await unpack($("niivue").textContent))}));
  document.querySelectorAll(".axis").forEach(slider => {
    [slider.min, slider.max] = study.read.template.ends[slider.dataset.axis].map(Math.round);
    slider.oninput = () => moveTo(state.mm.map((value, axis) => axis === +slider.dataset.axis ? +slider.value : value));
  });
  const draws = webgl ? niivueView : plainView, known = study.maps.filter(map => map.volume);
  const other = known.find(map => map.what !== known[0].what && map.model === "no model") ?? known.find(map => map.what !== known[0].what) ?? known[0];
  for (const [number, map] of [known[0] ?? study.maps[0], other ?? study.maps[0]].entries()) panels.push(await makePanel(number, map, draws));
  fill($("colours"), Object.keys(study.colours), state.colours);
  const all = () => Promise.all(panels.map(panel => panel.repaint()));
  $("colours").onchange = event => { state.colours = event.target.value; return all(); };
  $("opacity").oninput = event => { state.opacity = event.target.value / 100; return all(); };
  $("plane").onchange = event => { state.plane = event.target.value; return all(); };
  const second = () => {
    panels[1].root.hidden = !$("two").checked;
    $("panels").classList.toggle("single", !$("two").checked);
    return all();
  };
  $("two").onchange = second;
  addEventListener("resize", all);
  moveTo(state.mm);
  document.body.dataset.ready = webgl ? "niivue" : "plain";
};
start();
