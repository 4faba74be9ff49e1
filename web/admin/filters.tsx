import { Link, useNavigate, useRouterState } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { Field } from '../shared/field.tsx'

/**
 * The filters of a page, which are in its address: a view can be kept as a bookmark, and Back leads to the one before. A
 * change of a filter leads to the first page of the list.
 */
export function useFilters() {
  const search = useRouterState({ select: ({ location }) => location.search as Record<string, unknown> })
  const navigate = useNavigate()
  return {
    /** Empty where it is not set. */
    get: (name: string) => String(search[name] ?? ''),
    skip: Number(search.skip) || 0,
    set: (changes: Record<string, string | number | undefined>, { replace = false } = {}) =>
      navigate({
        to: '.',
        replace,
        search: ((before: Record<string, unknown>) =>
          given({ ...before, skip: undefined, ...changes })) as never,
      }),
  }
}

const given = (search: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined && value !== ''))

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

interface TabsProps {
  label: string
  /** The first one is shown where the address names none. */
  tabs: { id: string; label: string }[]
}

/** The parts of a page, each with an address of its own. */
export function Tabs({ label, tabs }: TabsProps) {
  const shown = useTab(tabs.map(({ id }) => id))
  return (
    <nav aria-label={label} className="-mb-1 flex flex-wrap gap-1 border-line border-b">
      {tabs.map((tab, index) => (
        <Link
          key={tab.id}
          to="."
          search={(index === 0 ? {} : { tab: tab.id }) as never}
          aria-current={tab.id === shown ? 'page' : undefined}
          className={`-mb-px border-b-2 px-4 py-2 font-medium ${tab.id === shown ? 'border-accent text-accent' : 'border-transparent text-muted hover:text-ink'}`}
        >
          {tab.label}
        </Link>
      ))}
    </nav>
  )
}

/** Which of the parts is shown. */
export function useTab<Id extends string>(ids: readonly Id[]): Id {
  const { get } = useFilters()
  return ids.find((id) => id === get('tab')) ?? ids[0]!
}
