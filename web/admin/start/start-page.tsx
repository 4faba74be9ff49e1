import { Link, Navigate } from '@tanstack/react-router'
import { type ReactNode, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import { Failed, Loading } from '../../shared/states.tsx'
import { useFilters } from '../filters.tsx'
import { Card, Page } from '../page.tsx'
import { useMe } from '../session.ts'
import { KioskStep } from './kiosk-step.tsx'
import { PersonStep } from './person-step.tsx'
import { type Progress, type Step, steps, useMaySetUp, useProgress } from './progress.ts'
import { SiteStep } from './site-step.tsx'

const all = [...steps, 'done'] as const
type Shown = (typeof all)[number]

/** The first steps with a new server: where it is, a kiosk, a person. Each can be left out and done later. */
export function StartPage() {
  const { t } = useTranslation()
  const { me } = useMe()
  const maySetUp = useMaySetUp()
  const { progress, error, retry } = useProgress()
  const { get, set } = useFilters()
  const open = progress && (steps.find((step) => !progress.done[step]) ?? 'done')
  const wanted = all.find((step) => step === get('step'))
  // A step that is done meanwhile stays until one goes on.
  const first = useRef<Shown>(undefined)
  first.current ??= open
  if (me && !maySetUp) return <Navigate to="/admin" replace />
  if (!progress)
    return (
      <Page title={t('start.title')}>
        <Card>{error ? <Failed error={error} onRetry={retry} /> : <Loading />}</Card>
      </Page>
    )
  const shown = wanted ?? first.current ?? 'done'
  const goOn = () => set({ step: all[all.indexOf(shown) + 1] })
  return (
    <Page title={t('start.title')}>
      <p className="-mt-3 max-w-3xl text-muted">{t('start.about')}</p>
      <div className="grid items-start gap-5 lg:grid-cols-[18rem_1fr]">
        <Steps shown={shown} done={progress.done} />
        <section className="rounded-2xl border border-line bg-surface p-5 sm:p-6">
          {shown === 'site' && (
            <SiteStep site={progress.sites[0]} isDone={progress.done.site} onDone={goOn} />
          )}
          {shown === 'kiosk' && <KioskStep progress={progress} onDone={goOn} />}
          {shown === 'person' && <PersonStep progress={progress} onDone={goOn} />}
          {shown === 'done' && <Done progress={progress} />}
        </section>
      </div>
    </Page>
  )
}

function Steps({ shown, done }: { shown: Shown; done: Record<Step, boolean> }) {
  const { t } = useTranslation()
  return (
    <nav aria-label={t('start.title')}>
      <ol className="flex flex-col gap-1 max-lg:flex-row max-lg:flex-wrap">
        {all.map((step, index) => {
          const isDone = step === 'done' ? done.site && done.kiosk && done.person : done[step]
          const isShown = step === shown
          return (
            <li key={step}>
              <Link
                to="/admin/start"
                search={{ step } as never}
                aria-current={isShown ? 'step' : undefined}
                className={`flex items-center gap-3 rounded-lg px-3 py-2 max-sm:px-1.5 ${isShown ? 'bg-surface font-medium text-accent' : 'text-muted hover:text-ink'}`}
              >
                <span
                  aria-hidden="true"
                  className={`grid size-7 shrink-0 place-items-center rounded-full text-sm ${isDone ? 'bg-good-soft text-good' : 'bg-sunken text-muted'}`}
                >
                  {isDone ? '✓' : index + 1}
                </span>
                <span className={isShown ? '' : 'max-sm:sr-only'}>
                  {t(`start.steps.${step}`)}
                  {isDone && <span className="sr-only"> – {t('start.isDone')}</span>}
                </span>
              </Link>
            </li>
          )
        })}
      </ol>
    </nav>
  )
}

function Done({ progress: { done, employees } }: { progress: Progress }) {
  const { t } = useTranslation()
  const missing = steps.filter((step) => !done[step])
  const [first] = employees
  return (
    <div className="flex flex-col gap-4">
      <h2 className="font-semibold text-xl">{t(missing.length === 0 ? 'start.ready' : 'start.almost')}</h2>
      {missing.length > 0 && (
        <ul className="list-disc space-y-1 pl-5">
          {missing.map((step) => (
            <li key={step}>
              <Onward to="/admin/start" search={{ step }}>
                {t(`start.steps.${step}`)}
              </Onward>
            </li>
          ))}
        </ul>
      )}
      <p>{t('start.next')}</p>
      <ul className="list-disc space-y-2 pl-5">
        {first && (
          <li>
            <Onward to={`/admin/employees/${encodeURIComponent(first.employee_id)}`}>
              {t('start.nextPhotos', { name: first.name })}
            </Onward>
          </li>
        )}
        <li>
          <Onward to="/admin/employees">{t('start.nextPeople')}</Onward>
        </li>
        <li>
          <Onward to="/admin/access">{t('start.nextUsers')}</Onward>
        </li>
        <li>
          <Onward to="/admin/account">{t('start.nextFactor')}</Onward>
        </li>
        <li>
          <Onward to="/admin/settings" search={{ tab: 'system' }}>
            {t('start.nextBackup')}
          </Onward>
        </li>
        <li>
          <Onward to="/admin">{t('start.nextToday')}</Onward>
        </li>
      </ul>
    </div>
  )
}

function Onward({ to, search, children }: { to: string; search?: object; children: ReactNode }) {
  return (
    <Link to={to} search={search as never} className="text-accent underline-offset-4 hover:underline">
      {children}
    </Link>
  )
}
