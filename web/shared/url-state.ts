import { useNavigate, useSearch } from '@tanstack/react-router'

type State = Record<string, string>
type Changes = Record<string, string | number | undefined>

/**
 * What the page shows, kept in its address: so it can be bookmarked and sent, and Back works. Everything is a text; what
 * is undefined or empty is taken out of the address.
 */
export function useUrlState(): [State, (changes: Changes, how?: How) => void] {
  const search = useSearch({ strict: false }) as Record<string, unknown>
  const navigate = useNavigate()
  const state = Object.fromEntries(Object.entries(search).map(([name, value]) => [name, String(value)]))
  const change = (changes: Changes, { replace = false, resetScroll = false }: How = {}) => {
    const next = (before: Record<string, unknown>) => {
      const all = Object.entries({ ...before, ...changes })
      return Object.fromEntries(
        all
          .filter(([, value]) => value !== undefined && value !== '')
          .map(([name, value]) => [name, bare(value)]),
      )
    }
    navigate({ to: '.', search: next, replace, resetScroll } as Parameters<typeof navigate>[0])
  }
  return [state, change]
}

/** A number stands in an address as it is, a text of digits only between quotation marks. */
const bare = (value: unknown) =>
  typeof value === 'string' && String(Number(value)) === value ? Number(value) : value

interface How {
  /** Back does not come here again: for each letter that is typed, say. */
  replace?: boolean
  /** What is shown then begins at the top. */
  resetScroll?: boolean
}
