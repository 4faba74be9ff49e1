import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { number } from '../../shared/i18n.ts'
import { useObjectUrl } from '../../shared/object-url.ts'
import { Table } from '../../shared/table.tsx'
import { Card } from '../page.tsx'
import { request, useMe } from '../session.ts'
import { type Calibration, useCalibration } from './calibrations.ts'

type Person = Calibration['look_alikes'][number]['people'][number]

/** Pairs of people whom the networks hardly tell apart, and what is asked of them. */
export function LookAlikesView() {
  const { t } = useTranslation()
  const { newest } = useCalibration()
  return (
    <>
      <p className="max-w-3xl text-muted">{t('recognition.lookAlikes.about')}</p>
      <Card>
        <Table
          caption={t('recognition.views.lookAlikes')}
          rows={{ ...newest, data: newest.data === null ? [] : newest.data?.look_alikes }}
          rowKey={({ people, origin }) => people.map(({ label }) => label).join() + origin}
          empty={t(newest.data === null ? 'recognition.calibration.none' : 'recognition.lookAlikes.empty')}
          columns={[
            {
              id: 'one',
              header: t('recognition.lookAlikes.one'),
              cell: ({ people }) => <Named person={people[0]} />,
            },
            {
              id: 'other',
              header: t('recognition.lookAlikes.other'),
              cell: ({ people }) => <Named person={people[1]} />,
            },
            {
              id: 'origin',
              header: t('recognition.lookAlikes.known'),
              cell: ({ origin, confidence }) => (
                <Badge
                  tone={origin === 'dispute' ? 'warn' : 'info'}
                  symbol={origin === 'dispute' ? '!' : '≈'}
                >
                  {t(`recognition.lookAlikes.origin.${origin}`)}
                  {confidence !== null && ` ${number(confidence, 2)}`}
                </Badge>
              ),
            },
            {
              id: 'margin',
              header: t('recognition.lookAlikes.margin'),
              alignRight: true,
              cell: ({ margin }) => number(margin, 2),
            },
          ]}
        />
      </Card>
    </>
  )
}

function Named({ person }: { person: Person }) {
  const { t } = useTranslation()
  const { employee_id, name, label } = person
  const hidden = /\d+$/.exec(label)?.[0] ?? label
  return (
    <div className="flex items-center gap-3 max-sm:flex-row-reverse">
      <Photo person={person} />
      {employee_id === null ? (
        t('recognition.lookAlikes.hidden', { number: hidden })
      ) : (
        <Link
          to="/admin/employees/$employeeId"
          params={{ employeeId: employee_id }}
          className="font-medium text-accent underline"
        >
          {name ?? employee_id}
        </Link>
      )}
    </div>
  )
}

function Photo({ person: { employee_id } }: { person: Person }) {
  const { may } = useMe()
  const photo = useQuery({
    queryKey: ['avatar', employee_id],
    queryFn: async () => (await request(`/employees/${encodeURIComponent(employee_id!)}/photo`)).blob(),
    enabled: employee_id !== null && may('biometrics:read'),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  })
  const url = useObjectUrl(photo.data)
  return url ? (
    <img src={url} alt="" className="size-14 shrink-0 rounded-xl object-cover" />
  ) : (
    <span aria-hidden="true" className="size-14 shrink-0 rounded-xl bg-sunken" />
  )
}
