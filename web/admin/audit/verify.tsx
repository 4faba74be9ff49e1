import { useMutation } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { verifiedSchema } from '../../../src/ledger/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { number } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { Card } from '../page.tsx'
import { api } from '../session.ts'

type Verified = Answer<typeof verifiedSchema>

const SHOWN = 50

/** Compares all that was written with the ledger, and says in plain words what that found. */
export function Verify() {
  const { t } = useTranslation()
  const verify = useMutation({ mutationFn: () => api<Verified>('/audit/verify') })
  return (
    <Card
      title={t('audit.verifyTitle')}
      aside={
        <Button busy={verify.isPending} onClick={() => verify.mutate()}>
          {t(verify.isPending ? 'audit.verifying' : 'audit.verify')}
        </Button>
      }
    >
      <div className="space-y-3 p-4">
        <p className="text-muted text-sm">{t('audit.verifyMeans')}</p>
        <Refusal error={verify.error} />
        <div role="status">{verify.data && <Result verified={verify.data} />}</div>
      </div>
    </Card>
  )
}

function Result({ verified: { intact, entries, head, faults } }: { verified: Verified }) {
  const { t } = useTranslation()
  if (intact)
    return (
      <div className="rounded-lg bg-good-soft p-3 text-good">
        <p className="font-medium">
          <span aria-hidden="true">✓ </span>
          {t('audit.intact', { entries: number(entries) })}
        </p>
        {entries > 0 && (
          <p className="mt-1 break-all text-sm">
            {t('audit.head', { seq: number(head.seq), mac: head.mac })}
          </p>
        )}
      </div>
    )
  return (
    <div className="rounded-lg bg-bad-soft p-3 text-bad">
      <p className="font-medium">
        <span aria-hidden="true">✕ </span>
        {t('audit.broken', { count: faults.length, shown: number(faults.length) })}
      </p>
      <p className="mt-1 text-sm">{t('audit.brokenWhatNow')}</p>
      <ul className="mt-2 list-disc space-y-1 pl-5 text-sm">
        {faults.slice(0, SHOWN).map((fault) => (
          <li key={`${fault.kind} ${fault.row_id} ${fault.seq} ${fault.what}`}>
            {t(`audit.faultKinds.${fault.kind}`)} {fault.row_id ?? ''}: {t(`audit.faults.${fault.what}`)}{' '}
            <span className="opacity-80">({fault.message})</span>
          </li>
        ))}
      </ul>
    </div>
  )
}
