import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { send } from '../shared/api.ts'
import { Failed } from '../shared/states.tsx'
import { Card, Page } from './page.tsx'

/** Where an address leads nowhere. */
export function NotFound() {
  const { t } = useTranslation()
  return <NoPage title={t('page.notFound')} text={t('page.notFoundText')} />
}

/** Where somebody came by its address to a page that is not offered to them. */
export function Forbidden() {
  const { t } = useTranslation()
  return <NoPage title={t('page.forbidden')} text={t('page.forbiddenText')} />
}

function NoPage({ title, text }: { title: string; text: string }) {
  const { t } = useTranslation()
  return (
    <Page title={title}>
      <p className="text-muted">{text}</p>
      <p>
        <Link to="/admin" className="text-accent underline-offset-4 hover:underline">
          {t('page.toStart')}
        </Link>
      </p>
    </Page>
  )
}

/**
 * A page that broke, or whose file did not come. The window is loaded anew, for the file may have another name since an
 * upgrade; but only once the server answers, else nothing would be left of it.
 */
export function PageFailed({ error }: { error: unknown }) {
  const retry = () =>
    send('/auth/setup').then(
      () => location.reload(),
      () => {},
    )
  return (
    <main className="mx-auto w-full max-w-7xl p-4 sm:p-6 lg:p-8">
      <Card>
        <Failed error={error} onRetry={retry} />
      </Card>
    </main>
  )
}
