import { useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo } from 'react'

export const states = ['active', 'noPhotos', 'inactive', 'left'] as const
export const sorts = ['name', '-name', 'employee_id', '-employee_id', 'created_at', '-created_at'] as const

/** What of the list is shown. It stands in the address, so that it can be kept as a bookmark. */
export interface ListView {
  search?: string
  department?: string
  /** The number of a site. */
  site?: number
  state?: (typeof states)[number]
  sort?: (typeof sorts)[number]
  skip?: number
}

/** The view of the list, and how to change it: from the first page on, unless it is the page that changes. */
export function useListView() {
  const given: Record<string, unknown> = useSearch({ strict: false })
  const navigate = useNavigate()
  const view = useMemo(() => readView(given), [given])
  const change = (changes: ListView, { replace = false } = {}) => {
    const search = readView({ ...view, skip: undefined, ...changes })
    navigate({ to: '/admin/employees', search: search as never, replace })
  }
  return [view, change] as const
}

export const isFiltered = ({ search, department, site, state }: ListView): boolean =>
  [search, department, site, state].some((filter) => filter !== undefined)

/** Only what can be meant: an address may have been written by anybody. */
function readView(given: Record<string, unknown> | ListView): ListView {
  const { search, department, site, state, sort, skip } = given as Record<string, unknown>
  const text = (value: unknown) =>
    (typeof value === 'string' || typeof value === 'number') && value !== ''
      ? String(value).slice(0, 100)
      : undefined
  const count = (value: unknown) => (Number.isInteger(value) && Number(value) > 0 ? Number(value) : undefined)
  return {
    search: text(search),
    department: text(department),
    state: states.find((one) => one === state),
    sort: sorts.find((one) => one === sort),
    site: count(site),
    skip: count(skip),
  }
}

/** As the API asks for it; an export takes the same. */
export function filterQuery({ search, department, site, state, sort = 'name' }: ListView) {
  return { search, department, site_id: site, sort, ...(state && queryOfState[state]) }
}

const queryOfState = {
  active: { is_active: true },
  noPhotos: { has_photos: false },
  inactive: { is_active: false },
  left: { ended: true },
}
