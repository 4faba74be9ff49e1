import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useMemo, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import type { todaySchema } from '../../../src/attendance/schema.ts'
import type { deviceSchema } from '../../../src/devices/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { clockTime, longDate, number, percent } from '../../shared/i18n.ts'
import { Empty, Failed, Loading } from '../../shared/states.tsx'
import { Table } from '../../shared/table.tsx'
import { DeviceState } from '../devices/device-state.tsx'
import { Card, Page } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { useZone } from '../site-time.ts'
import { StartCard } from '../start/start-card.tsx'
import { type Punch, useLivePunches } from './live-punches.ts'
import { PendingCard } from './pending-card.tsx'
import { PunchPicture } from './punch-picture.tsx'

type Today = Answer<typeof todaySchema>
type Device = Answer<typeof deviceSchema>

const PAGE = 1000
const SHOWN = 12
const READ_ANEW_MS = 3000
const DEVICES_MS = 15_000

/** Who is in and since when, what is punched now, and how the kiosks are. */
export function TodayPage() {
  const { t } = useTranslation()
  const { may } = useMe()
  const queries = useQueryClient()
  const today = useQuery({ queryKey: ['today'], queryFn: wholeDay })
  const timer = useRef(0)
  /** The figures, and a punch that corrects another one, are the server's to tell: a little later, for all at once. */
  const readAnew = () => {
    timer.current ||= window.setTimeout(() => {
      timer.current = 0
      queries.invalidateQueries({ queryKey: ['today'] })
    }, READ_ANEW_MS)
  }
  const isLive = useLivePunches((punch) => {
    queries.setQueryData<Today>(['today'], (day) => day && { ...day, punches: [punch, ...day.punches] })
    readAnew()
  })
  const present = useMemo(() => presentPeople(today.data?.punches ?? []), [today.data])
  const zone = useZone()

  return (
    <Page title={t('today.title')} actions={<span className="text-muted">{longDate(new Date(), zone)}</span>}>
      <StartCard />
      <dl className="grid grid-cols-2 gap-3 sm:grid-cols-4">
        <Figure label={t('today.present')} value={today.data && present.length} />
        <Figure label={t('today.people')} value={today.data?.people} />
        <Figure label={t('today.in')} value={today.data?.in} />
        <Figure label={t('today.out')} value={today.data?.out} />
      </dl>
      {may('attendance:write') && <PendingCard />}
      <div className="grid gap-5 xl:grid-cols-[3fr_2fr]">
        <Card
          title={t('today.live')}
          aside={
            <Badge tone={isLive ? 'good' : 'warn'} symbol={isLive ? '●' : '↻'}>
              {t(isLive ? 'today.liveNow' : 'today.reconnecting')}
            </Badge>
          }
        >
          {today.data === undefined ? (
            today.error ? (
              <Failed error={today.error} onRetry={today.refetch} />
            ) : (
              <Loading />
            )
          ) : (
            <Latest punches={today.data.punches.slice(0, SHOWN)} zone={zone} />
          )}
        </Card>
        <div className="flex flex-col gap-5">
          {may('devices:read') && <Kiosks />}
          <Card title={t('today.whoIsIn')}>
            <Table
              caption={t('today.whoIsIn')}
              rows={{ ...today, data: today.data && present }}
              rowKey={({ employee_id }) => employee_id}
              empty={t('today.nobodyIn')}
              columns={[
                { id: 'name', header: t('employees.name'), cell: (punch) => punch.employee_name },
                {
                  id: 'since',
                  header: t('today.since'),
                  cell: (punch) => clockTime(punch.timestamp, zone),
                  alignRight: true,
                },
              ]}
            />
          </Card>
        </div>
      </div>
    </Page>
  )
}

/** All punches of the day, newest first. */
async function wholeDay(): Promise<Today> {
  const first = await api<Today>('/attendance/today', { query: { limit: PAGE } })
  const punches = [...first.punches]
  while (punches.length < first.total) {
    const { punches: more } = await api<Today>('/attendance/today', {
      query: { limit: PAGE, skip: punches.length },
    })
    if (more.length === 0) break
    punches.push(...more)
  }
  return { ...first, punches }
}

/** The punches of those whose last one is an IN, the latest first. */
function presentPeople(newestFirst: Punch[]): Punch[] {
  const last = new Map<string, Punch>()
  for (const punch of newestFirst) if (!last.has(punch.employee_id)) last.set(punch.employee_id, punch)
  return [...last.values()].filter(({ attendance_type }) => attendance_type === 'IN')
}

function Figure({ label, value }: { label: string; value: number | undefined }) {
  return (
    <div className="rounded-2xl border border-line bg-surface p-4">
      <dt className="text-muted text-sm">{label}</dt>
      <dd className="font-semibold text-3xl tabular-nums">{value === undefined ? '–' : number(value)}</dd>
    </div>
  )
}

function Latest({ punches, zone }: { punches: Punch[]; zone: string | undefined }) {
  const { t } = useTranslation()
  if (punches.length === 0) return <Empty>{t('today.noPunches')}</Empty>
  return (
    <ul className="divide-y divide-line">
      {punches.map((punch) => (
        <li key={punch.id} className="flex items-center gap-3 px-4 py-2.5">
          <PunchPicture punch={punch} />
          <div className="min-w-0 flex-1">
            <p className="truncate font-medium">{punch.employee_name}</p>
            <p className="truncate text-muted text-sm">
              {punch.device_id ?? t('today.byHand')}
              {punch.kind === 'pin' && ` · ${t('today.byPin')}`}
              {punch.kind === 'face' &&
                ` · ${t('today.confidence', { value: percent(punch.confidence_score) })}`}
            </p>
          </div>
          <Badge
            tone={punch.attendance_type === 'IN' ? 'good' : 'info'}
            symbol={punch.attendance_type === 'IN' ? '→' : '←'}
          >
            {t(`direction.${punch.attendance_type}`)}
          </Badge>
          <time dateTime={punch.timestamp} className="w-12 text-right tabular-nums">
            {clockTime(punch.timestamp, zone)}
          </time>
        </li>
      ))}
    </ul>
  )
}

function Kiosks() {
  const { t } = useTranslation()
  const devices = useQuery({
    queryKey: ['devices', 'today'],
    queryFn: () => api<Device[]>('/devices', { query: { is_active: true, limit: PAGE } }),
    refetchInterval: DEVICES_MS,
  })
  return (
    <Card title={t('today.kiosks')}>
      <Table
        caption={t('today.kiosks')}
        rows={devices}
        rowKey={({ id }) => id}
        empty={t('today.noKiosks')}
        columns={[
          { id: 'name', header: t('devices.name'), cell: ({ name }) => name },
          {
            id: 'state',
            header: t('devices.state'),
            alignRight: true,
            cell: ({ state }) => <DeviceState state={state} />,
          },
        ]}
      />
    </Card>
  )
}
