import { useQuery } from '@tanstack/react-query'
import type { siteSchema } from '../../src/sites/schema.ts'
import type { Answer } from '../shared/api.ts'
import { api } from './session.ts'

export type Site = Answer<typeof siteSchema>

/** The sites, for forms and for showing their names. */
export function useSites() {
  const { data: sites } = useQuery({
    queryKey: ['sites', 'all'],
    queryFn: () => api<Site[]>('/sites', { query: { limit: 1000 } }),
  })
  return { sites, nameOf: (id: number) => sites?.find((site) => site.id === id)?.name ?? '–' }
}
