import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { deviceSchema } from '../../../src/devices/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Field, Select } from '../../shared/field.tsx'
import { number } from '../../shared/i18n.ts'
import { useUrlState } from '../../shared/url-state.ts'
import { api, useMe } from '../session.ts'
import { daysOf, momentsOf, ranges, wallTime } from '../site-time.ts'

const TYPING_MS = 300
const kinds = ['face', 'pin', 'manual', 'correction', 'import'] as const
const disputes = ['open', 'confirmed', 'rejected'] as const

/** What a narrow screen shows only where it is asked for. */
const further = ['device', 'type', 'kind', 'disputed', 'all']

/** What the address asks for, as the API takes it. */
export function filterOf(url: Record<string, string>, zone: string | undefined) {
  const { search, device, type, kind, disputed, all } = url
  return {
    ...momentsOf(url, zone),
    search,
    device_id: device,
    attendance_type: type,
    kind,
    disputed,
    include: all ? 'all' : undefined,
  }
}

export type Filter = ReturnType<typeof filterOf>

export function PunchFilters({ zone }: { zone: string | undefined }) {
  const { t } = useTranslation()
  const [url, change] = useUrlState()
  const set = (changes: Record<string, string>) => change({ ...changes, skip: '' })
  const given = further.filter((name) => url[name]).length
  const [isOpen, setOpen] = useState(given > 0)
  return (
    <search className="flex flex-col gap-3">
      <DayFilter zone={zone} />
      <SearchField
        className="sm:max-w-sm"
        label={t('attendance.search')}
        value={url.search ?? ''}
        onSearch={(search) => change({ search, skip: '' }, { replace: true })}
      />
      <Button className="sm:hidden" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {t('attendance.further')} {given > 0 && `(${number(given)})`}
      </Button>
      <div className={`grid grid-cols-2 gap-3 sm:grid-cols-4 ${isOpen ? '' : 'max-sm:hidden'}`}>
        <DeviceFilter />
        <Select
          label={t('attendance.direction')}
          value={url.type ?? ''}
          onChange={(event) => set({ type: event.target.value })}
        >
          <option value="">{t('attendance.any')}</option>
          <option value="IN">{t('direction.IN')}</option>
          <option value="OUT">{t('direction.OUT')}</option>
        </Select>
        <Select
          label={t('attendance.how')}
          value={url.kind ?? ''}
          onChange={(event) => set({ kind: event.target.value })}
        >
          <option value="">{t('attendance.any')}</option>
          {kinds.map((kind) => (
            <option key={kind} value={kind}>
              {t(`attendance.kind.${kind}`)}
            </option>
          ))}
        </Select>
        <Select
          label={t('attendance.disputes.filter')}
          value={url.disputed ?? ''}
          onChange={(event) => set({ disputed: event.target.value })}
        >
          <option value="">{t('attendance.any')}</option>
          {disputes.map((state) => (
            <option key={state} value={state}>
              {t(`attendance.disputed.${state}`)}
            </option>
          ))}
        </Select>
      </div>
      <label className={`flex min-h-10 items-center gap-2 self-start ${isOpen ? '' : 'max-sm:hidden'}`}>
        <input
          type="checkbox"
          className="size-5 accent-accent"
          checked={Boolean(url.all)}
          onChange={(event) => set({ all: event.target.checked ? '1' : '' })}
        />
        {t('attendance.all')}
      </label>
    </search>
  )
}

/** From and to, with the days that one most often wants. */
export function DayFilter({ zone }: { zone: string | undefined }) {
  const { t } = useTranslation()
  const [url, change] = useUrlState()
  const today = wallTime(new Date(), zone).slice(0, 10)
  const set = (days: { from?: string; to?: string }) => change({ ...days, skip: '' })
  return (
    <div className="flex flex-wrap items-end gap-3">
      <div className="grid grid-cols-2 gap-3 max-sm:w-full">
        <Field
          label={t('attendance.from')}
          type="date"
          max={url.to}
          value={url.from ?? ''}
          onChange={(event) => set({ from: event.target.value })}
        />
        <Field
          label={t('attendance.to')}
          type="date"
          min={url.from}
          value={url.to ?? ''}
          onChange={(event) => set({ to: event.target.value })}
        />
      </div>
      <fieldset className="flex flex-wrap gap-2">
        <legend className="sr-only">{t('attendance.quick')}</legend>
        {ranges.map((range) => {
          const { from, to } = daysOf(range, today)
          const isChosen = url.from === from && url.to === to
          return (
            <Button
              key={range}
              aria-pressed={isChosen}
              className={isChosen ? 'border-accent text-accent' : ''}
              onClick={() => set(isChosen ? { from: '', to: '' } : { from, to })}
            >
              {t(`attendance.range.${range}`)}
            </Button>
          )
        })}
      </fieldset>
    </div>
  )
}

/** Searches a moment after the last letter. What the address says otherwise, after Back say, is shown. */
function SearchField({
  label,
  value,
  onSearch,
  className,
}: {
  className: string
  label: string
  value: string
  onSearch: (text: string) => void
}) {
  const { t } = useTranslation()
  const timer = useRef(0)
  const [typed, setTyped] = useState(value)
  useEffect(() => () => clearTimeout(timer.current), [])
  useEffect(() => setTyped((now) => (now.trim() === value ? now : value)), [value])
  return (
    <Field
      className={className}
      label={label}
      type="search"
      maxLength={100}
      placeholder={t('attendance.searchHint')}
      value={typed}
      onChange={({ target }) => {
        setTyped(target.value)
        clearTimeout(timer.current)
        timer.current = window.setTimeout(() => onSearch(target.value.trim()), TYPING_MS)
      }}
    />
  )
}

/** Which kiosk; not offered to who may not see them. */
export function DeviceFilter() {
  const { t } = useTranslation()
  const { may } = useMe()
  const [url, change] = useUrlState()
  const devices = useQuery({
    queryKey: ['devices', 'names'],
    queryFn: () => api<Answer<typeof deviceSchema>[]>('/devices', { query: { limit: 1000, sort: 'name' } }),
    enabled: may('devices:read'),
  })
  if (!may('devices:read')) return null
  return (
    <Select
      label={t('attendance.device')}
      value={url.device ?? ''}
      onChange={(event) => change({ device: event.target.value, skip: '' })}
    >
      <option value="">{t('attendance.any')}</option>
      {devices.data?.map(({ device_id, name }) => (
        <option key={device_id} value={device_id}>
          {name}
        </option>
      ))}
    </Select>
  )
}
