import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useCodeText } from '../../shared/error-text.ts'
import { Fact } from '../../shared/fact.tsx'
import { number } from '../../shared/i18n.ts'
import type { Change } from './switches.ts'

const differences = ['no_longer_recognised', 'different_person', 'newly_recognised'] as const
const SHOWN = 20

/** What the new models would have decided differently, and who would not be recognised any more. */
export function SwitchReport({ change }: { change: Change }) {
  const { t } = useTranslation()
  const { comparison, thresholds, unrecognisable, skipped } = change
  return (
    <>
      {comparison ? (
        <>
          <p className="text-muted">
            {t(`recognition.report.basis.${comparison.basis}`, { compared: number(comparison.compared) })}
          </p>
          <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
            <Fact label={t('recognition.report.same')}>{number(comparison.same)}</Fact>
            {differences.map((kind) => (
              <Fact key={kind} label={t(`recognition.report.${kind}`)}>
                {number(comparison[kind].length)}
                {comparison.basis === 'kept_pictures' && <Decisions ids={comparison[kind]} />}
              </Fact>
            ))}
            {thresholds && (
              <Fact label={t('recognition.status.threshold')}>
                {thresholds.from === null ? '–' : number(thresholds.from, 3)} → {number(thresholds.to, 3)}
              </Fact>
            )}
            {comparison.from_ms !== null && comparison.to_ms !== null && (
              <Fact label={t('recognition.report.time')}>
                {number(comparison.from_ms)} → {number(comparison.to_ms)} ms
              </Fact>
            )}
            {comparison.unreadable > 0 && (
              <Fact label={t('recognition.report.unreadable')}>{number(comparison.unreadable)}</Fact>
            )}
          </dl>
        </>
      ) : (
        <p className="text-muted">{t('recognition.report.none')}</p>
      )}
      {unrecognisable.length > 0 && (
        <Named
          title={t('recognition.report.unrecognisable', { count: unrecognisable.length })}
          tone="text-bad"
          lines={unrecognisable.map(({ employee_id, reason }) => [
            employee_id ?? t('common.somebody'),
            reason,
          ])}
        />
      )}
      {skipped.length > 0 && (
        <Named
          title={t('recognition.report.skipped', { count: skipped.length })}
          tone=""
          lines={skipped.map(({ employee_id, reason }) => [employee_id ?? t('common.somebody'), reason])}
        />
      )}
    </>
  )
}

function Decisions({ ids }: { ids: number[] }) {
  return (
    <span className="block text-sm">
      {ids.slice(0, SHOWN).map((id) => (
        <Link
          key={id}
          to="/admin/attendance"
          search={{ decision: id } as never}
          className="mr-2 text-accent underline"
        >
          #{id}
        </Link>
      ))}
      {ids.length > SHOWN && '…'}
    </span>
  )
}

function Named({ title, tone, lines }: { title: string; tone: string; lines: [string, string][] }) {
  const { t } = useTranslation()
  const codeText = useCodeText()
  const why = (reason: string) =>
    reason === 'no_photos' || reason === 'photo_missing'
      ? t(`recognition.report.reasons.${reason}`)
      : codeText(reason, reason)
  return (
    <details>
      <summary className={`font-medium ${tone}`}>{title}</summary>
      <ul className="mt-2 list-disc pl-5 text-sm">
        {lines.map(([id, reason]) => (
          <li key={`${id} ${reason}`}>
            {id} <span className="text-muted">({why(reason)})</span>
          </li>
        ))}
      </ul>
    </details>
  )
}
