import { useQuery } from '@tanstack/react-query'
import type { deviceSchema } from '../../../src/devices/schema.ts'
import type { employeeSchema } from '../../../src/employees/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { api, useMe } from '../session.ts'
import { type Site, useSites } from '../sites.ts'

export type Device = Answer<typeof deviceSchema>
export type Employee = Answer<typeof employeeSchema>

export const steps = ['site', 'kiosk', 'person'] as const
export type Step = (typeof steps)[number]

export interface Progress {
  sites: Site[]
  devices: Device[]
  employees: Employee[]
  done: Record<Step, boolean>
}

/** Whether one may take all of the first steps. */
export function useMaySetUp(): boolean {
  const { may } = useMe()
  return may('sites:write') && may('devices:write') && may('employees:write')
}

/** How far the first steps with this server are: by what it holds, so that they can be left and gone on with. */
export function useProgress(): { progress: Progress | undefined; error: unknown; retry: () => void } {
  const { may } = useMe()
  const { sites } = useSites()
  const devices = useQuery({
    queryKey: ['devices', 'start'],
    queryFn: () => api<Device[]>('/devices', { query: { is_active: true, limit: 1000 } }),
    enabled: may('devices:write'),
  })
  const employees = useQuery({
    queryKey: ['employees', 'start'],
    queryFn: () => api<Employee[]>('/employees', { query: { limit: 1 } }),
    enabled: may('employees:write'),
  })
  const error = devices.error ?? employees.error
  const retry = () => {
    devices.refetch()
    employees.refetch()
  }
  if (!sites || !devices.data || !employees.data) return { progress: undefined, error, retry }
  const done = {
    // A site is made with the server; nobody has looked at it yet as long as it has no zone of its own.
    site: sites.some(({ time_zone }) => time_zone !== null),
    kiosk: devices.data.some(({ paired }) => paired),
    person: employees.data.length > 0,
  }
  return { progress: { sites, devices: devices.data, employees: employees.data, done }, error, retry }
}
