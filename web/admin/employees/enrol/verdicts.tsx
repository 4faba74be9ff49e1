import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../../shared/badge.tsx'
import { useCodeText } from '../../../shared/error-text.ts'
import { percent } from '../../../shared/i18n.ts'
import type { PhotoVerdict } from '../people.ts'
import { Thumbnail } from './photo-choice.tsx'
import { reasonsOf } from './reasons.ts'

/** What became of each photo, in words, beside the photo. */
export function Verdicts({ photos, results }: { photos: readonly File[]; results: readonly PhotoVerdict[] }) {
  return (
    <ul className="divide-y divide-line rounded-xl border border-line">
      {results.map((result, index) => (
        <li key={index} className="flex gap-4 p-3">
          <div className="w-24 shrink-0">
            <Thumbnail photo={photos[index]} />
          </div>
          <Verdict result={result} />
        </li>
      ))}
    </ul>
  )
}

function Verdict({ result }: { result: PhotoVerdict }) {
  const { t } = useTranslation()
  const codeText = useCodeText()
  const { accepted, code, message, already_stored, quality, same_person, also_enrolled_as } = result
  return (
    <div className="flex min-w-0 flex-1 flex-col items-start gap-1">
      <div className="flex flex-wrap gap-1.5">
        <Badge tone={accepted ? 'good' : 'bad'} symbol={accepted ? '✓' : '✕'}>
          {accepted ? t(already_stored ? 'enrol.alreadyStored' : 'enrol.accepted') : t('enrol.refused')}
        </Badge>
        {quality && <Badge>{t('employees.quality', { value: percent(quality.score) })}</Badge>}
        {result.is_avatar && (
          <Badge tone="info" symbol="★">
            {t('employees.avatar')}
          </Badge>
        )}
      </div>
      <p className="max-w-full truncate text-muted text-sm">{result.filename}</p>
      {!accepted && <p className="text-bad">{codeText(code ?? '', message ?? '')}</p>}
      {reasonsOf(result.reasons).map((reason) => (
        <p key={reason} className="text-sm text-warn">
          {t(`enrolReason.${reason}`)}
        </p>
      ))}
      {same_person && (
        <p className={`text-sm ${same_person.same ? 'text-good' : 'text-bad'}`}>
          {t(same_person.same ? 'enrol.samePerson' : 'enrol.otherPerson', {
            value: percent(same_person.likeness),
          })}
        </p>
      )}
      {also_enrolled_as.map(({ employee_id, name, confidence }, index) => (
        <p key={employee_id ?? index} className="text-sm text-warn">
          {t('enrol.resembles', { value: percent(confidence) })}{' '}
          {employee_id === null ? (
            t('common.somebody')
          ) : (
            <Link
              to="/admin/employees/$employeeId"
              params={{ employeeId: employee_id }}
              className="underline"
            >
              {name ? `${name} (${employee_id})` : employee_id}
            </Link>
          )}
        </p>
      ))}
    </div>
  )
}
