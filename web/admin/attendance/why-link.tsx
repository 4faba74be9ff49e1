import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

/** The way to the explanation of a punch or a decision; Back leads to the list as it was. */
export function WhyLink({ search, of }: { search: Record<string, number>; of: string }) {
  const { t } = useTranslation()
  return (
    <Link
      to="."
      search={((before: object) => ({ ...before, ...search })) as never}
      aria-label={t('attendance.whyOf', { of })}
      className="inline-flex min-h-10 items-center whitespace-nowrap rounded-lg px-3 font-medium text-accent hover:bg-sunken"
    >
      {t('attendance.why')}
    </Link>
  )
}
