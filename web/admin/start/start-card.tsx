import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useMaySetUp, useProgress } from './progress.ts'

/** Leads who may set the server up to the first steps, as long as it has no people or no kiosk. */
export function StartCard() {
  return useMaySetUp() ? <Lead /> : null
}

function Lead() {
  const { t } = useTranslation()
  const { progress } = useProgress()
  if (!progress || (progress.done.kiosk && progress.done.person)) return null
  return (
    <section className="flex flex-wrap items-center justify-between gap-4 rounded-2xl border border-line bg-info-soft p-5">
      <div>
        <h2 className="font-semibold text-lg">{t('start.welcome')}</h2>
        <p className="text-muted">{t('start.lead')}</p>
      </div>
      <Link
        to="/admin/start"
        className="inline-flex min-h-10 items-center rounded-lg bg-accent px-4 py-2 font-medium text-on-accent hover:bg-accent-strong"
      >
        {t('start.go')}
      </Link>
    </section>
  )
}
