import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Confirm, Dialog } from '../../shared/dialog.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Table } from '../../shared/table.tsx'
import { Card } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { ConsentAsked, newestTextVersion } from './consent-asked.tsx'
import { useDone } from './done.ts'
import { type Consent, type Employee, keyOf, pathOf } from './people.ts'

export function useConsents(employeeId: string) {
  return useQuery({
    queryKey: keyOf(employeeId, 'consents'),
    queryFn: () => api<Consent[]>(`${pathOf(employeeId)}/consent`),
  })
}

export const holds = ({ withdrawn_at }: Consent) => withdrawn_at === null

/** What the person agreed to, and what they took back. */
export function ConsentCard({ employee }: { employee: Employee }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const whoIs = useWho()
  const consents = useConsents(employee.employee_id)
  const [open, setOpen] = useState<'record' | 'withdraw'>()
  const close = () => setOpen(undefined)
  const isGiven = consents.data?.some(holds) ?? false
  const mayChange = may('biometrics:write') && employee.ended_at === null
  return (
    <Card
      title={t('employees.consent')}
      aside={
        consents.data &&
        (isGiven ? (
          <Badge tone="good" symbol="✓">
            {t('employees.consentGiven')}
          </Badge>
        ) : (
          <Badge tone="warn" symbol="!">
            {t('employees.consentMissing')}
          </Badge>
        ))
      }
    >
      <Table
        caption={t('employees.consent')}
        rows={{ ...consents, data: consents.data?.toReversed() }}
        rowKey={({ consent_id }) => consent_id}
        empty={t('employees.noConsent')}
        columns={[
          { id: 'text', header: t('employees.text'), cell: ({ text_version }) => text_version },
          {
            id: 'given',
            header: t('employees.given'),
            cell: ({ given_at, given_by }) => (
              <>
                <p>{dateTime(given_at)}</p>
                <p className="break-all text-muted text-sm">{whoIs(given_by)}</p>
              </>
            ),
          },
          {
            id: 'withdrawn',
            header: t('employees.withdrawn'),
            cell: ({ withdrawn_at }) => (withdrawn_at ? dateTime(withdrawn_at) : '–'),
          },
        ]}
      />
      {mayChange && consents.data && (
        <div className="flex flex-wrap justify-end gap-2 border-line border-t p-3">
          {isGiven ? (
            <Button look="danger" onClick={() => setOpen('withdraw')}>
              {t('employees.withdraw')}
            </Button>
          ) : (
            <Button onClick={() => setOpen('record')}>{t('employees.recordConsent')}</Button>
          )}
        </div>
      )}
      {open === 'record' && <RecordConsent employee={employee} onClose={close} />}
      {open === 'withdraw' && <WithdrawConsent employee={employee} onClose={close} />}
    </Card>
  )
}

/** Who wrote something down, as the server has it: `user:1`, `key:2`. */
function useWho() {
  const { t } = useTranslation()
  const { me } = useMe()
  return (by: string) => {
    const [kind, id] = by.split(':')
    if (kind === 'user') return me && id === String(me.id) ? me.name : t('employees.byUser', { id })
    return kind === 'key' ? t('employees.byProgram', { id }) : by
  }
}

interface ActProps {
  employee: Employee
  onClose: () => void
}

function RecordConsent({ employee, onClose }: ActProps) {
  const { t } = useTranslation()
  const [agreed, setAgreed] = useState(false)
  const [version, setVersion] = useState(newestTextVersion)
  const done = useDone(employee, onClose)
  const record = useMutation({
    mutationFn: () =>
      api(`${pathOf(employee.employee_id)}/consent`, { method: 'POST', body: { text_version: version } }),
    onSuccess: () => done(t('employees.consentRecorded')),
  })
  return (
    <Dialog title={t('employees.recordConsent')} onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          record.mutate()
        }}
      >
        <ConsentAsked
          label={t('employees.agrees', { name: employee.name })}
          {...{ agreed, version }}
          onAgreed={setAgreed}
          onVersion={setVersion}
        />
        <ErrorAlert error={record.error} />
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button type="submit" look="primary" disabled={!agreed} busy={record.isPending}>
            {t('employees.recordConsent')}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

function WithdrawConsent({ employee, onClose }: ActProps) {
  const { t } = useTranslation()
  const done = useDone(employee, onClose)
  const withdraw = useMutation({
    mutationFn: () => api(`${pathOf(employee.employee_id)}/consent`, { method: 'DELETE' }),
    onSuccess: () => done(t('employees.consentWithdrawn')),
  })
  return (
    <Confirm
      title={t('employees.withdrawOf', { name: employee.name })}
      act={t('employees.withdraw')}
      busy={withdraw.isPending}
      onConfirm={() => withdraw.mutate()}
      onClose={onClose}
    >
      <p>{t('employees.eraseMeans')}</p>
      <p>{t('employees.withdrawMeans')}</p>
      <p className="font-medium text-bad">{t('employees.noWayBack')}</p>
      <ErrorAlert error={withdraw.error} />
    </Confirm>
  )
}
