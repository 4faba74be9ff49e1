import { useEffect, useRef, useState } from 'react'
import { Field } from '../shared/field.tsx'
import { useUrlState } from '../shared/url-state.ts'

/**
 * The filters of a page, which are in its address: a view can be kept as a bookmark, and Back leads to the one before. A
 * change of a filter leads to the first page of the list.
 */
export function useFilters() {
  const [state, change] = useUrlState()
  return {
    /** Empty where it is not set. */
    get: (name: string) => state[name] ?? '',
    skip: Number(state.skip) || 0,
    set: (changes: Record<string, string | number | undefined>, { replace = false } = {}) =>
      change({ skip: undefined, ...changes }, { replace, resetScroll: true }),
  }
}

const TYPING_MS = 300

/** A field for words to look for: the list follows while one types. */
export function SearchField({ label, filter }: { label: string; filter: string }) {
  const { get, set } = useFilters()
  const wanted = get(filter)
  const [text, setText] = useState(wanted)
  const timer = useRef(0)
  // Back was pressed, say; a blank that is still being typed stays.
  useEffect(() => setText((now) => (now.trim() === wanted ? now : wanted)), [wanted])
  useEffect(() => () => clearTimeout(timer.current), [])
  return (
    <Field
      label={label}
      type="search"
      value={text}
      maxLength={100}
      onChange={({ target }) => {
        setText(target.value)
        clearTimeout(timer.current)
        timer.current = window.setTimeout(
          () => set({ [filter]: target.value.trim() }, { replace: true }),
          // Nothing more is to be expected of who empties it.
          target.value === '' ? 0 : TYPING_MS,
        )
      }}
    />
  )
}

/** Which of the parts is shown. */
export function useTab<Id extends string>(ids: readonly Id[]): Id {
  const { get } = useFilters()
  return ids.find((id) => id === get('tab')) ?? ids[0]!
}
