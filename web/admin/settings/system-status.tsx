import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { healthSchema, systemStatusSchema } from '../../../src/monitoring/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Facts } from '../../shared/facts.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { Failed, Loading } from '../../shared/states.tsx'
import { Card } from '../page.tsx'
import { api } from '../session.ts'

type Health = Answer<typeof healthSchema>
type Status = Answer<typeof systemStatusSchema>

const READ_ANEW_MS = 15_000
const FULL_PERCENT = 90

/** Whether the server can do its work, and how much it has done. */
export function SystemStatus() {
  const { t } = useTranslation()
  const health = useQuery({ queryKey: ['health'], queryFn: askHealth, refetchInterval: READ_ANEW_MS })
  const status = useQuery({
    queryKey: ['status'],
    queryFn: () => api<Status>('/device-management/status'),
    refetchInterval: READ_ANEW_MS,
  })
  return (
    <>
      <Card
        title={t('settings.health')}
        aside={health.data && <Well isWell={health.data.status === 'healthy'} />}
      >
        {health.data ? (
          <HealthFacts health={health.data} />
        ) : health.error ? (
          <Failed error={health.error} onRetry={health.refetch} />
        ) : (
          <Loading />
        )}
      </Card>
      <Card title={t('settings.figures')}>
        {status.data ? (
          <Figures status={status.data} />
        ) : status.error ? (
          <Failed error={status.error} onRetry={status.refetch} />
        ) : (
          <Loading />
        )}
      </Card>
    </>
  )
}

/** Not below /api/v1; and its answer is one also where the server is not well. */
async function askHealth(): Promise<Health> {
  return (await fetch('/health', { cache: 'no-store' })).json()
}

function Well({ isWell }: { isWell: boolean }) {
  const { t } = useTranslation()
  return (
    <Badge tone={isWell ? 'good' : 'bad'} symbol={isWell ? '✓' : '✕'}>
      {t(isWell ? 'settings.well' : 'settings.notWell')}
    </Badge>
  )
}

function HealthFacts({ health }: { health: Health }) {
  const { t } = useTranslation()
  const { cpu_percent, memory_percent, disk_percent } = health.system_load
  return (
    <>
      <Facts
        facts={[
          [t('settings.version'), health.version],
          [t('settings.database'), <Well key="database" isWell={health.components.database === 'healthy'} />],
          [t('settings.models'), <Well key="models" isWell={health.components.ai_models === 'healthy'} />],
          [t('settings.liveness'), t(`settings.livenesses.${health.liveness}`)],
          [t('settings.cpu'), <Load key="cpu" percent={cpu_percent} />],
          [t('settings.memory'), <Load key="memory" percent={memory_percent} />],
          [t('settings.disk'), <Load key="disk" percent={disk_percent} />],
        ]}
      />
      {health.device_auth === 'open' && (
        <p className="mx-4 mb-4 rounded-lg bg-bad-soft p-3 text-bad text-sm">{t('settings.openDevices')}</p>
      )}
      {disk_percent !== null && disk_percent >= FULL_PERCENT && (
        <p className="mx-4 mb-4 rounded-lg bg-warn-soft p-3 text-sm text-warn">{t('settings.diskFull')}</p>
      )}
    </>
  )
}

function Load({ percent }: { percent: number | null }) {
  if (percent === null) return '–'
  return (
    <span className="flex items-center gap-3">
      <span className="w-12 tabular-nums">{number(percent)} %</span>
      <span aria-hidden="true" className="h-2 w-full max-w-40 overflow-hidden rounded-full bg-sunken">
        <span
          className={`block h-full ${percent >= FULL_PERCENT ? 'bg-bad' : 'bg-accent'}`}
          style={{ width: `${Math.min(100, percent)}%` }}
        />
      </span>
    </span>
  )
}

function Figures({ status }: { status: Status }) {
  const { t } = useTranslation()
  const { performance } = status
  return (
    <Facts
      facts={[
        [t('settings.people'), number(status.total_employees)],
        [t('settings.templates'), number(status.total_templates)],
        [
          t('settings.kiosks'),
          t('settings.kiosksActive', {
            active: number(status.devices.active),
            total: number(status.devices.total),
          }),
        ],
        [t('settings.punchesToday'), number(status.today_attendance)],
        [t('settings.recognitions'), number(performance.total_recognitions)],
        [t('settings.time'), `${number(performance.avg_processing_time * 1000)} ms`],
        [t('settings.since'), dateTime(performance.last_reset)],
      ]}
    />
  )
}
