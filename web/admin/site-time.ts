import { useQuery } from '@tanstack/react-query'
import type { todaySchema } from '../../src/attendance/schema.ts'
import type { Answer } from '../shared/api.ts'
import { api } from './session.ts'

/** The time zone of the sites, where they have one in common; else undefined, which is the browser's own. */
export function useZone(): string | undefined {
  const { data } = useQuery({
    queryKey: ['zone'],
    queryFn: () => api<Answer<typeof todaySchema>>('/attendance/today', { query: { limit: 1 } }),
    staleTime: Number.POSITIVE_INFINITY,
  })
  const zones = new Set(data?.sites.map(({ time_zone }) => time_zone))
  return zones.size === 1 ? [...zones][0] : undefined
}

/** 2026-11-27T07:58, what the clock on the wall shows: as a field for a time has it. */
export function wallTime(time: string | Date, zone: string | undefined): string {
  return new Intl.DateTimeFormat('sv-SE', {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone: zone,
  })
    .format(new Date(time))
    .replace(' ', 'T')
}

/** The moment at which the clock on the wall shows this. */
export function momentOf(wall: string, zone: string | undefined): Date {
  const asUtc = Date.parse(`${wall}Z`)
  let moment = asUtc
  // Twice: near a change of the clocks the first guess lies on its other side.
  for (let i = 0; i < 2; i++) moment = asUtc - (Date.parse(`${wallTime(new Date(moment), zone)}Z`) - moment)
  return new Date(moment)
}

export interface Days {
  /** 2026-11-27, the first and the last day. */
  from?: string
  to?: string
}

export const ranges = ['today', 'yesterday', 'week', 'month'] as const

/** The days that one most often wants to see. A week begins with Monday. */
export function daysOf(range: (typeof ranges)[number], today: string): Required<Days> {
  const ago = (days: number) => addDays(today, -days)
  if (range === 'yesterday') return { from: ago(1), to: ago(1) }
  if (range === 'week') return { from: ago((new Date(today).getUTCDay() + 6) % 7), to: today }
  if (range === 'month') return { from: `${today.slice(0, 8)}01`, to: today }
  return { from: today, to: today }
}

/** From and to of the API, which takes moments: the end is that of the last day. */
export function momentsOf({ from, to }: Days, zone: string | undefined) {
  return {
    from: isDay(from) ? momentOf(`${from}T00:00`, zone).toISOString() : undefined,
    to: isDay(to) ? momentOf(`${addDays(to, 1)}T00:00`, zone).toISOString() : undefined,
  }
}

/** An address may have been written by anybody. */
const isDay = (day: string | undefined): day is string =>
  day !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(Date.parse(day))

const addDays = (day: string, days: number) =>
  new Date(Date.parse(day) + days * 86_400_000).toISOString().slice(0, 10)
