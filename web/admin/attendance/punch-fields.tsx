import type { SelectHTMLAttributes } from 'react'
import { useTranslation } from 'react-i18next'
import { Field, Select } from '../../shared/field.tsx'

/** In or out, as `attendance_type`. */
export function DirectionField(select: SelectHTMLAttributes<HTMLSelectElement>) {
  const { t } = useTranslation()
  return (
    <Select label={t('attendance.direction')} name="attendance_type" {...select}>
      <option value="IN">{t('direction.IN')}</option>
      <option value="OUT">{t('direction.OUT')}</option>
    </Select>
  )
}

/** Why, as `notes`: it stays with the punch for good. */
export function ReasonField() {
  const { t } = useTranslation()
  return (
    <Field
      label={t('attendance.reason')}
      hint={t('attendance.reasonHint')}
      name="notes"
      maxLength={500}
      required
    />
  )
}
