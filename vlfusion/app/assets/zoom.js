// Zooms and moves all pictures of a `.vl-zoom` together. One place and one scale hold for the whole group.
(() => {
  const most = 32, step = 1.5
  const states = new WeakMap()
  const groupOf = (event) => event.target.closest?.('.vl-zoom')
  const stateOf = (group) => {
    if (!states.has(group)) states.set(group, { scale: 1, x: 0, y: 0, pointers: new Map() })
    return states.get(group)
  }

  // x and y are parts of the frame's width and height, so frames of any size show the same place.
  const draw = (group, state) => {
    const edge = (state.scale - 1) / 2
    state.x = Math.min(edge, Math.max(-edge, state.x))
    state.y = Math.min(edge, Math.max(-edge, state.y))
    group.classList.toggle('vl-in', state.scale > 1)
    group.classList.toggle('vl-near', state.scale > 4)
    for (const image of group.querySelectorAll('.vl-frame img')) {
      image.style.transform = `translate(${100 * state.x}%, ${100 * state.y}%) scale(${state.scale})`
    }
  }

  // Zoom about a point of a frame, which stays where it is.
  const zoom = (group, factor, frame, clientX, clientY) => {
    const state = stateOf(group), before = state.scale
    state.scale = Math.min(most, Math.max(1, before * factor))
    const box = frame?.getBoundingClientRect()
    const px = box ? (clientX - box.left) / box.width - 0.5 : 0
    const py = box ? (clientY - box.top) / box.height - 0.5 : 0
    const ratio = state.scale / before
    state.x = px - (px - state.x) * ratio
    state.y = py - (py - state.y) * ratio
    draw(group, state)
  }

  const reset = (group) => draw(group, Object.assign(stateOf(group), { scale: 1, x: 0, y: 0 }))

  document.addEventListener('pointerdown', (event) => {
    const group = groupOf(event), frame = event.target.closest?.('.vl-frame')
    if (!group || !frame) return
    stateOf(group).pointers.set(event.pointerId, event)
    frame.setPointerCapture(event.pointerId)
  })
  document.addEventListener('pointermove', (event) => {
    const group = groupOf(event), frame = event.target.closest?.('.vl-frame')
    const state = group && stateOf(group)
    if (!state || !frame || !state.pointers.has(event.pointerId)) return
    const last = state.pointers.get(event.pointerId), box = frame.getBoundingClientRect()
    if (state.pointers.size === 2) {
      const other = [...state.pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId)
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1
      zoom(group, apart(event) / apart(last), frame, (event.clientX + other.clientX) / 2,
        (event.clientY + other.clientY) / 2)
    } else {
      state.x += (event.clientX - last.clientX) / box.width
      state.y += (event.clientY - last.clientY) / box.height
      draw(group, state)
    }
    state.pointers.set(event.pointerId, event)
  })
  for (const kind of ['pointerup', 'pointercancel']) {
    document.addEventListener(kind, (event) => {
      const group = groupOf(event)
      if (group) stateOf(group).pointers.delete(event.pointerId)
    })
  }
  document.addEventListener('dblclick', (event) => {
    const group = groupOf(event), frame = event.target.closest?.('.vl-frame')
    if (group && frame) zoom(group, 2, frame, event.clientX, event.clientY)
  })
  document.addEventListener('wheel', (event) => {
    const group = groupOf(event), frame = event.target.closest?.('.vl-frame')
    if (!group || !frame || !event.ctrlKey) return
    event.preventDefault()
    zoom(group, event.deltaY < 0 ? step : 1 / step, frame, event.clientX, event.clientY)
  }, { passive: false })
  document.addEventListener('keydown', (event) => {
    const group = event.target.matches?.('.vl-zoom') ? event.target : null
    if (!group) return
    const state = stateOf(group)
    const moves = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }
    if (event.key === '+' || event.key === '=') zoom(group, step)
    else if (event.key === '-') zoom(group, 1 / step)
    else if (event.key === '0') reset(group)
    else if (moves[event.key] && state.scale > 1) {
      state.x += moves[event.key][0]
      state.y += moves[event.key][1]
      draw(group, state)
    } else return
    event.preventDefault()
  })
})()
