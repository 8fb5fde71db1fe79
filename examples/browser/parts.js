// Parts of the page that know nothing of laundries.

/**
 * Makes a list of elements out of items with a `key`: what is there already stays the element that it is, so that focus and
 * animations are not lost.
 */
export function keyed(parent, tag, items, fill) {
  const there = new Map([...parent.children].map((element) => [element.dataset.key, element]))
  const wanted = items.map((item) => {
    const element = there.get(item.key) ?? document.createElement(tag)
    element.dataset.key = item.key
    fill(element, item)
    return element
  })
  const keep = new Set(wanted)
  for (const element of [...parent.children]) {
    if (!keep.has(element)) {
      element.remove()
    }
  }
  wanted.forEach((element, place) => {
    if (parent.children[place] !== element) {
      parent.insertBefore(element, parent.children[place] ?? null)
    }
  })
}

/** How much of a limit is used, to be seen and to be read out. */
export function meter(element, { key, name, said, used, limit, mode }) {
  if (element.children.length === 0) {
    element.innerHTML = `
      <p class="meter-name"><span id="meter-${key}"></span><output></output></p>
      <div class="meter" role="meter" aria-labelledby="meter-${key}" aria-valuemin="0"><div class="bar"></div></div>`
  }
  const [title, output, box, bar] = ['span', 'output', '.meter', '.bar'].map((part) => element.querySelector(part))
  title.textContent = name
  output.textContent = said
  const most = limit ?? Math.max(used, 1)
  const part = limit === null ? 0 : most === 0 ? 0 : Math.min(used / most, 1)
  box.setAttribute('aria-valuenow', String(Math.min(used, most)))
  box.setAttribute('aria-valuemax', String(Math.max(most, 1)))
  box.setAttribute('aria-valuetext', said)
  box.dataset.is =
    limit === null
      ? 'open'
      : used > limit || (used === limit && mode === 'hard')
        ? 'full'
        : part >= 0.8
          ? 'high'
          : 'low'
  bar.style.inlineSize = `${part * 100}%`
}

let gone

/** Tells something for a while. */
export function tell(element, said) {
  clearTimeout(gone)
  element.textContent = said
  gone = setTimeout(() => {
    element.textContent = ''
  }, 8_000)
}
