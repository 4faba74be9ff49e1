import { useQuery } from '@tanstack/react-query'
import { api, useMe } from '../session.ts'
import type { Site } from './people.ts'

/** The departments that there are. */
export function useDepartments(): string[] | undefined {
  return useQuery({
    queryKey: ['employees', 'departments'],
    queryFn: () => api<string[]>('/employees/departments'),
  }).data
}

/** The places that there are; undefined for those who may not see them. */
export function useSites(): Site[] | undefined {
  const { may } = useMe()
  return useQuery({
    queryKey: ['sites', 'all'],
    queryFn: () => api<Site[]>('/sites', { query: { limit: 1000 } }),
    enabled: may('sites:read'),
  }).data
}
