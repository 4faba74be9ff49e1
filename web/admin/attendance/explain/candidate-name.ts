import { useTranslation } from 'react-i18next'
import type { Explanation } from './explain-view.tsx'

export type Candidate = Explanation['candidates'][number]

/** By name to who may see it, else under the pseudonym that the person has throughout. */
export function useCandidateName() {
  const { t } = useTranslation()
  return ({
    name,
    employee_id,
    pseudonym,
  }: Pick<Candidate, 'name' | 'employee_id' | 'pseudonym'>): string => {
    const number = /\d+$/.exec(pseudonym)?.[0]
    return (
      name ?? employee_id ?? (number ? t('attendance.scores.pseudonym', { number }) : t('attendance.nobody'))
    )
  }
}
