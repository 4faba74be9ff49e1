import { useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { type ReactNode, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../shared/button.tsx'
import { Failed, Loading } from '../shared/states.tsx'
import { Forbidden } from './no-page.tsx'
import { pages } from './pages.ts'
import { signOut, useMe } from './session.ts'
import { Switches } from './switches.tsx'

/** The frame of the office: the pages that the signed-in person may see, and who they are. */
export function Layout({ children = <Outlet /> }: { children?: ReactNode }) {
  const { t } = useTranslation()
  const path = useRouterState({ select: ({ location }) => location.pathname })
  const [isOpen, setOpen] = useState(false)
  useEffect(() => setOpen(false), [path])
  return (
    <div className="min-h-dvh lg:grid lg:grid-cols-[16rem_1fr]">
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:absolute focus:z-10 focus:bg-surface focus:p-3"
      >
        {t('common.skip')}
      </a>
      <header className="flex flex-col border-line bg-surface max-lg:border-b lg:sticky lg:top-0 lg:h-dvh lg:border-r">
        <div className="flex items-center justify-between px-4 py-3 lg:py-5">
          <span className="flex items-center gap-2 font-semibold text-lg">
            <img src="/icon.svg" alt="" width="28" height="28" />
            Rollcall
          </span>
          <Button
            className="lg:hidden"
            aria-expanded={isOpen}
            aria-controls="navigation"
            onClick={() => setOpen(!isOpen)}
          >
            <span aria-hidden="true">☰</span>
            {t('common.menu')}
          </Button>
        </div>
        <div
          id="navigation"
          className={`flex-1 flex-col overflow-y-auto lg:flex ${isOpen ? 'flex' : 'hidden'}`}
        >
          <Navigation />
          <Person />
        </div>
      </header>
      <div id="content" className="min-w-0">
        <Allowed path={path}>{children}</Allowed>
      </div>
    </div>
  )
}

/** The page, for who may see it: said once here, and not by each list of it. */
function Allowed({ path, children }: { path: string; children: ReactNode }) {
  const { me, may, error, retry } = useMe()
  const page = pages.find(
    (one) => path === one.path || (one.path !== '/admin' && path.startsWith(`${one.path}/`)),
  )
  if (!page) return children
  if (!me) return error ? <Failed error={error} onRetry={retry} /> : <Loading />
  return may(page.needs) ? children : <Forbidden />
}

function Navigation() {
  const { t } = useTranslation()
  const { may } = useMe()
  return (
    <nav aria-label={t('common.menu')} className="flex-1 px-3 pb-4">
      <ul className="flex flex-col gap-1">
        {pages
          .filter(({ needs }) => may(needs))
          .map(({ id, path }) => (
            <li key={id}>
              <Link
                to={path}
                activeOptions={{ exact: path === '/admin' }}
                className="block rounded-lg px-3 py-2 font-medium text-muted hover:bg-sunken hover:text-ink"
                activeProps={{ className: 'bg-sunken !text-accent', 'aria-current': 'page' }}
              >
                {t(`${id}.title`)}
              </Link>
            </li>
          ))}
      </ul>
    </nav>
  )
}

function Person() {
  const { t } = useTranslation()
  const { me } = useMe()
  const queries = useQueryClient()
  const navigate = useNavigate()
  const leave = async () => {
    await signOut()
    await navigate({ to: '/admin/sign-in' })
    queries.clear()
  }
  return (
    <div className="space-y-3 border-line border-t p-4">
      <Switches />
      {me && (
        <Link to="/admin/account" className="block rounded-lg hover:text-accent">
          <span className="block truncate font-medium">{me.name}</span>
          <span className="block text-muted text-sm">
            {t(`roles.${me.role}`)} · {t('account.title')}
          </span>
        </Link>
      )}
      <Button className="w-full" onClick={leave}>
        {t('signIn.out')}
      </Button>
    </div>
  )
}
