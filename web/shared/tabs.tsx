import { Link } from '@tanstack/react-router'

interface TabsProps {
  /** What the tabs are of, for those who do not see them. */
  label: string
  /** The first one is shown where the address names none. */
  tabs: { id: string; title: string }[]
  chosen: string
}

/** The views of a page, each with its own address: `?view=…`. */
export function Tabs({ label, tabs, chosen }: TabsProps) {
  return (
    <nav aria-label={label} className="flex flex-wrap gap-1 border-line border-b">
      {tabs.map(({ id, title }, index) => (
        <Link
          key={id}
          to="."
          search={(index === 0 ? {} : { view: id }) as never}
          aria-current={id === chosen ? 'page' : undefined}
          activeOptions={{ exact: true, includeSearch: true }}
          className={`-mb-px border-b-2 px-3 py-2 font-medium ${id === chosen ? 'border-accent text-accent' : 'border-transparent text-muted hover:text-ink'}`}
        >
          {title}
        </Link>
      ))}
    </nav>
  )
}
