import { type ReactNode, useEffect } from 'react'

interface PageProps {
  title: string
  /** Beside the title: what can be done here. */
  actions?: ReactNode
  children: ReactNode
}

/** A page of the office: its title, in the window's title too, and what is on it. */
export function Page({ title, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Rollcall`
  }, [title])
  return (
    <main className="mx-auto flex w-full max-w-7xl flex-col gap-5 p-4 sm:p-6 lg:p-8">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h1 className="font-semibold text-2xl tracking-tight">{title}</h1>
        {actions && <div className="flex flex-wrap gap-2">{actions}</div>}
      </div>
      {children}
    </main>
  )
}

/** A part of a page, with a title of its own. */
export function Card({
  title,
  aside,
  children,
}: {
  title?: ReactNode
  aside?: ReactNode
  children: ReactNode
}) {
  return (
    <section className="overflow-hidden rounded-2xl border border-line bg-surface">
      {title && (
        <div className="flex flex-wrap items-center justify-between gap-2 border-line border-b px-4 py-3">
          <h2 className="font-semibold">{title}</h2>
          {aside}
        </div>
      )}
      {children}
    </section>
  )
}
